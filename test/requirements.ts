/** What Nexus promises, one sentence each. A test cites what it proves in a comment: `// proves: start.installs-once`. */
export const requirements = {
  // A fresh clone.
  "start.one-command": "`npm start` is all that a fresh clone with Node 20 or newer and npm needs to serve.",
  "start.installs-once": "Packages are installed on the first start, and again only when the lock file has changed.",
  "start.interrupted": "An installation that was interrupted or killed is repeated by the next start.",
  "start.two-at-once": "Two starts at the same time install once.",
  "start.says-why": "An installation that fails shows npm's own error and what to do, and nothing of its noise.",
  "start.node": "The system's Node is used when it is 24 or newer, else the one that is pinned among the packages.",
  "start.any-directory":
    "`./nexus` runs from any directory and through symbolic links, and keeps the directory it is called from.",
  "start.same-end": "A verb's exit code, its end by a signal, and the signals sent to it pass through the start.",
  "test.closing-line":
    "`npm test` ends with `N passed, N failed, N skipped` and fails when a test failed, or nothing ran.",
  "test.no-silent-skip": "A skipped test is listed with its reason; where every part must be there it has failed.",

  // The house.
  "house.borders": "Rooms import only what they are built on; no cycles, no effects at import, bounded sizes.",
  "house.errors-page": "The reference page of errors and the table in the code say the same.",
  "house.documents": "Every setting that the documents show is valid, and every link in them leads somewhere.",
  "house.headers-page": "The reference page of headers and the gateway name the same headers.",
  "house.example-config": "The example configuration is valid, and its schema is the one in the code.",

  // The contract.
  "contract.health": "`/health` answers in under 100 ms while the process lives, whatever else is wrong.",
  "contract.readyz":
    "`/readyz` answers 200 or 503 with the checks, and with progress and time left while something loads.",
  "contract.metadata": "`/v1/metadata` and `/v1/descriptor` describe a service as the schemas say.",
  "contract.metrics": "`/metrics` answers in Prometheus' format with labels of a closed set.",
  "contract.request-id": "A request id and a trace are taken from the client or made, sent on, answered and logged.",
  "contract.error-shape":
    "Errors are answered in OpenAI's shape with a code of the table, and name no backend, key or path.",
  "contract.drain": "On SIGTERM a service leaves the registry, ends what is under way, refuses what is new, and exits.",
  "contract.realtime":
    "A service holds conversations over WebSockets: bounded, pinged, ended with their client, closed with 1001 on SIGTERM.",
  "kit.upstream":
    "What a service asks of a server behind it is bounded, ends with its client, and fails in Nexus's own words.",
  "contract.registers":
    "A service registers under a lease, renews it, and registers again after a lost lease or registry.",
  "create.conforms":
    "`nexus create service` writes services that run, pass `nexus check` and their own tests, for every domain and mode.",
  "create.served":
    "A created service of any domain is routed to, listed, described and measured, and gone when it ends; no gateway changes.",
  "create.asks":
    "`nexus create service` shows what it writes, asks only on a terminal, and never replaces files unasked.",
  "create.templates":
    "Templates are plain files: one's own directory or repository works, and a lint finds what is wrong with them.",
  "kit.commands":
    "A program that works for a service is bounded, has a clean environment, and ends with its client, children included.",
  "contract.check": "`nexus check URL` prints a line with a reason for each check and exits with 1 when one failed.",
  "contract.check-finds": "The checks find a service that breaks each of them.",
  "contract.any-language":
    "The specification's examples, in TypeScript, in Python without packages and in a shell, pass every check and serve.",
  "contract.gateway-conforms": "The gateway passes the checks that services pass.",
  "contract.json-schemas": "The published JSON Schemas are those of the code.",

  // The registry.
  "registry.lease": "A record lives as long as its lease is renewed, and can be taken away at once.",
  "registry.watch": "Everyone who watches sees every change as one consistent snapshot, without asking again.",
  "registry.drain": "A drained host, service or instance stays drained after a restart, and no new request goes to it.",
  "registry.snapshot":
    "After a restart, or a crash at any moment, the embedded registry comes back with what it promised.",
  "registry.bad-record": "A record that breaks the contract is listed with its reason and hides no other.",
  "registry.static-file":
    "A static file is read again when it changes; a broken one leaves the last good state in force.",
  "registry.one-contract": "Every implementation passes the same suite.",
  "registry.outage": "The gateway serves from its last view while the registry is away, also after its own restart.",

  // The gateway.
  "gateway.chat": "`POST /v1/chat/completions` answers whole and as a stream.",
  "gateway.completions": "`POST /v1/completions` answers whole and as a stream.",
  "gateway.embeddings": "`POST /v1/embeddings` answers.",
  "gateway.models": "`GET /v1/models` and `/v1/models/{id}` list what can be asked for, with its context length.",
  "gateway.pass-through": "Fields that the gateway does not know reach the backend unchanged, byte for byte.",
  "gateway.aliases": "An alias reaches the model it stands for.",
  "gateway.own-pages":
    "The gateway answers `/health`, `/readyz`, `/metrics`, `/v1/metadata`, `/v1/descriptor` and `/openapi.json`.",
  "gateway.keys": "A request needs a key that exists; keys are stored as hashes; the first is shown once.",
  "gateway.roles": "A key opens what its role is for and nothing else.",
  "gateway.measured-fleet":
    "Prometheus finds every service at the gateway when it registers, reads it there, and forgets it when it is gone.",
  "gateway.instance-pages":
    "An instance's metrics and descriptor are read through the gateway, bounded, and as nothing that a browser would run.",
  "gateway.keyless": "Without keys the gateway serves on loopback only, and only when the configuration says so.",
  "gateway.guarded-address": "On an address other than loopback it refuses to start with a default or short key.",
  "gateway.bad-request":
    "A body that is no JSON, too large or without a model is refused with its reason and reaches no backend.",
  "gateway.ambiguous-request":
    "What two HTTP or JSON parsers could read differently is refused and reaches no backend.",
  "gateway.unknown-model": "An unknown model is 404 `model_not_found` with close names.",
  "gateway.spreads": "Several instances of a model share the requests by what they have under way.",
  "routing.reasons": "Every instance is a candidate, or left out with a reason; the same question gets the same plan.",
  "routing.selectors": "`where` is checked, names and types, when it is read; what is unknown never fits.",
  "routing.tiers": "A higher tier serves when none of the lower can, and what costs money where a route says so.",
  "routing.affinity": "Requests that begin alike go to one instance, unless it has a quarter more than its share.",
  "routing.cold-start": "A model is loaded once more when that is quicker than the queue of those that have it.",
  "routing.cold-start-kept":
    "What loading a model cost on a host is known to the gateway's next process; a damaged file is only forgotten.",
  "gateway.dead-instance":
    "An instance that is killed is left at once, costs no request before its first byte, and comes back by itself.",
  "gateway.slow-instance": "An instance that is slow or stalls ends in a clear error within its deadline.",
  "gateway.cut-stream": "A stream that breaks ends with an error event and without `[DONE]`.",
  "gateway.retry": "A request is sent again before the first byte only, on another instance, within a budget.",
  "gateway.none-left": "Without a working instance the answer is 503 with `Retry-After` within 100 ms.",
  "gateway.answer-headers": "An answer says who served it, in how many attempts, and how long it waited for a slot.",
  "gateway.exhausted": "Clients are told not to repeat what every instance has failed, or what the budget forbids.",
  "gateway.framing": "Events reach the client whole, however the backend's bytes are cut.",
  "gateway.many-streams": "64 streams at once arrive complete, each its own.",
  "gateway.large-prompt": "A prompt of 1 MB is served.",
  "gateway.client-gone": "When the client leaves, the backend's work is cancelled within 1 s, on every endpoint.",

  // Workers.
  "workers.slots-add-up":
    "Over all workers no more requests run on an instance than it takes, slots go to whoever waits, and a dead worker's are free.",
  "workers.limits-add-up": "Limits and budgets of keys are counted over all workers, and never exceeded.",
  "workers.one-port": "All workers serve one port, which stays open while one of them is replaced.",
  "workers.replaced": "A worker that dies takes only its own streams along, and is replaced; one that hangs, too.",
  "workers.shared-news": "What one worker learns of an instance, by a probe or a refusal, the others know.",
  "workers.one-answer": "Metrics and records of requests are those of all workers, whichever is asked.",
  "workers.drain": "SIGTERM drains all workers; when the primary is killed they end what is under way and leave.",

  // Keys, limits and usage.
  "keys.migrations": "Processes that start together set a database up once; one that a newer Nexus changed is refused.",
  "keys.import": "Keys from before there was a database go on working.",
  "keys.revoked-at-once": "A key that was revoked, expired or replaced stops working within half a second.",
  "keys.rotate": "A rotated key keeps its limits and usage, and the old secret works until the overlap ends.",
  "keys.tenants": "A tenant's limits count for all its keys together, beside their own.",
  "keys.allow-lists": "A key is held to its models, operations and addresses.",
  "keys.limits": "Requests and tokens a minute and requests at once stay within their limits, with OpenAI's headers.",
  "keys.budgets": "A budget of tokens or money is held across gateways, from what is reserved, used and known.",
  "keys.prices": "Money is counted by a price list that is read again when it changes.",
  "keys.usage": "Usage adds up by key, tenant, model, operation and day.",
  "keys.counted-once": "Usage is counted once, whatever happens to the connection that carries it.",
  "keys.outage": "A lost database stops no traffic, is never a 401, and loses nothing when it is back.",

  // Servers that are there already.
  "attach.recognises":
    "Ollama, llama.cpp, vLLM, LM Studio, LocalAI and other OpenAI-compatible servers are recognised and described.",
  "attach.never-loads": "Looking at a server never loads a model and never generates.",
  "attach.lease":
    "An attached server is kept registered under a lease, gets no requests while it is gone, and comes back.",
  "attach.discovery": "Servers on this machine's usual ports are found by themselves.",
  "attach.paid":
    "A server is attached as one that costs money, and with a tier of its own, by the verb, the API and the file.",
  "attach.secret-reference": "A server's own key is given as a reference, is stored as one, and appears in no output.",

  // The built-in model service.
  "llm.chat": "It chats, whole and as a stream, with a real model.",
  "llm.completions": "It continues a text, whole and as a stream.",
  "llm.embeddings": "It makes embeddings with a model that can.",
  "llm.json-schema": "An answer that was asked for with a JSON schema follows it.",
  "llm.tools": "It calls tools where the model's template has them, and says so where it has not.",
  "llm.queue": "No more than `max_concurrency` generate at once; the queue is bounded, and full it answers 429.",
  "llm.cancel": "Generation stops within one token of the client's leaving.",
  "llm.usage": "`usage` counts the tokens that were read and made.",
  "llm.context": "What does not fit is 400 `context_length_exceeded`, never cut silently.",
  "llm.threads": "It never uses more threads than there are cores.",

  // The other services.
  "service.conforms": "Each reference service keeps the contract.",
  "jobs.life": "A film or a piece of music is a job from its order to its content, whatever its backend calls it.",
  "jobs.cancel": "A job that is deleted, or whose client has left before it was there, is stopped at its backend.",
  "jobs.restart": "Jobs outlive a restart of the service that handed them out.",
  "video.backends": "Films are made by servers of OpenAI's shape and by ComfyUI's workflows.",
  "music.backends": "Music is made by ACE-Step and by ComfyUI's workflows.",
  "ocr.pictures": "Text is read off a picture, with the place of every line and word.",
  "ocr.pdf": "The pages of a PDF that are asked for are drawn and read.",
  "ocr.languages": "Each language whose data is there is a model; for what is missing it says what to do.",
  "ocr.bounded": "Pixels, pages and memory are bounded before anything is unpacked; what is broken harms nothing else.",
  "ocr.cancel": "Reading ends with its client, and `/health` is quick meanwhile.",
  "image.backends":
    "ComfyUI, AUTOMATIC1111, InvokeAI, servers of OpenAI's shape and stable-diffusion.cpp make pictures in one API.",
  "image.edits": "A picture is changed, within a mask or as a whole, as large as it was.",
  "image.workflow": "ComfyUI runs a workflow of the owner's own.",
  "image.progress": "A streamed picture says how far it is, and shows what there is of it.",
  "image.cancel": "A client that leaves stops its backend's work, and nobody else's.",
  "image.readiness": "While its backend is away it is not ready, says why, and is ready again when that is back.",
  "image.requests": "A request is checked before a backend sees it; the field at fault is named.",
  "models.sources": "A model comes from the first source that answers, and what was tried is listed.",
  "models.verified": "A file is used only when its SHA-256 is the pinned one.",
  "models.resume": "An interrupted download goes on where it stopped.",
  "models.wheel": "A model can come from the Python package index with the machine's own pip.",
  "models.own-file": "A local file or folder can be added as a model.",
  "models.none": "With no source in reach everything else starts and says what is missing.",

  // The command line.
  "cli.up-and-down": "`up` starts the platform and shows what runs where and how to use it; `down` stops all of it.",
  "cli.pasted-curl": "The `curl` line that `up` shows works as it stands.",
  "cli.survives-parent": "What serves survives a parent that is killed, and the next start adopts it.",
  "cli.side-by-side": "Two platforms with ports and data of their own run side by side.",
  "cli.finds-platform": "Verbs find the platform by `--data`, or elsewhere by `NEXUS_URL` and `NEXUS_API_KEY`.",
  "cli.json": "With `--json` a verb prints one JSON document on stdout and nothing else there.",
  "cli.exit-codes": "Exit codes are those of the documented table.",
  "cli.no-prompt": "Without a terminal nothing is asked.",
  "cli.status": "`status` shows processes, instances, models and what is wrong.",
  "cli.attach": "`attach` and `detach` add and remove a server.",
  "cli.models": "`models` lists, pulls, adds and removes.",
  "cli.chat": "`chat` answers one question, and converses on a terminal.",
  "cli.keys": "`keys` creates, limits, rotates, expires, lists and revokes, and shows usage.",
  "cli.config": "`config` shows, explains and validates, and unknown settings get a close name.",
  "reload.no-request-lost": "Aliases, routes and timeouts change under steady requests, and none is lost.",
  "reload.all-or-nothing": "A file with anything wrong in it, or with a change that takes a restart, changes nothing.",
  "reload.refusal-visible":
    "A refused file is told with its lines and reasons: by the verb, the status, the log and the metrics.",
  "reload.followed":
    "The file is followed, whoever replaces it and however; SIGHUP, the verb and the control API reload too.",
  "reload.objects":
    "Limits of files, batches and stored answers are taken over; only the folder of files takes a restart.",
  "reload.only-what-changed": "A reload starts, stops and restarts what changed in the file, and nothing else.",
  "reload.survives":
    "A gateway or parent that was killed comes back with the newest, and a gateway is adopted as it is.",
  "cli.doctor": "`doctor` looks at the machine and the platform, and says what to do.",
  "cli.doctor-runtimes": "`nexus doctor` names the programs that services of this machine need and do not find.",

  // With the clients that people have.
  "clients.openai-node":
    "The official client for Node chats, streams, calls tools, asks for JSON, embeds, aborts and sees errors.",
  "clients.openai-python": "The official client for Python does the same.",
  "clients.openai-responses":
    "The official client for Node gets responses, streams them, gives tools' results back, and goes on with what is stored.",
  "clients.ollama":
    "Ollama's own client chats, generates, embeds, lists and shows models, streams, aborts and sees errors.",
  "clients.anthropic":
    "Anthropic's own client chats, streams, calls tools, shows images, counts tokens and sees errors, over any backend.",
  "clients.error-shapes":
    "An error is in the shape of the API that its address belongs to, also where there is nothing.",

  // Paid servers.
  "paid.anthropic":
    "Anthropic's API serves chat completions and responses, known by its list of models and asked in its own words.",
  "paid.counted": "A stream that costs money is counted by its server, whether the client asks for that or not.",
  "paid.key-by-command":
    "A key may be what a command prints: run only if the configuration names it, bounded, remembered, never shown.",
  "anthropic.headers":
    "The version and the betas that a client of Anthropic's names reach a server of its API, and nobody else.",
  "anthropic.count-tokens":
    "Tokens that no server counts are estimated within a documented bound, and the answer says that they are.",

  "gateway.continued-stream":
    "Where its route allows it, a cut stream is continued by another instance, never after tool calls, and the record says so.",

  // What clients leave with the gateway.
  "responses.stored":
    "An answer is found, listed and built upon by its tenant alone, until it is too old, whatever database it is in.",
  "responses.background":
    "An answer in the background is made without its client, polled, streamed from any event on, and counted like any.",
  "responses.background-cancel":
    "An answer in the background is cancelled from any gateway, and its backend within a second.",
  "responses.background-lost":
    "An answer whose gateway was stopped or killed is failed, with the reason; it never hangs.",
  "responses.native":
    "A server of responses says to a client what the client asked for, not what the server was asked for.",
  "responses.outlives":
    "A conversation goes on after a restart and on another gateway; a lost database stops no answer, and its record says so.",
  "jobs.affinity": "Calls for a job go to the instance that made it and to no other; while that is away they are 503.",
  "jobs.private": "A job is its tenant's, under an id that nobody can guess, on every gateway and after a restart.",
  "jobs.list": "A list of jobs is the tenant's own, of every instance, those that are away included.",
  "jobs.remix": "A film is made of a film by the instance that has it, and counted like any request.",
  "jobs.ranges": "The content of a job is fetched in part, from instances that know ranges and from those that do not.",
  "jobs.unheard":
    "A job whose client left before it was there is stopped; one that cannot be stopped is kept and listed.",
  "files.kept":
    "A file is uploaded, listed, described, fetched and deleted by its tenant alone, and goes when it expires.",
  "files.ranges": "A file is fetched in part, under a tag that says whether it is still the same.",
  "files.bounded": "Files stay within their bounds; a full disk or a client that leaves keeps nothing half.",
  "batches.complete":
    "Every line of a batch is answered, in the output or the error file, by its key's rights and limits.",
  "batches.survive": "A batch goes on after a crash: nothing is lost, and nothing that was answered is asked again.",
  "batches.one-runner": "Of several gateways exactly one works on a batch, and another goes on when that one is gone.",
  "batches.cancel": "A batch that is cancelled stops what runs within a second and keeps what was answered.",
  "batches.idle": "A batch gets slots that nobody else wants.",

  "operations.images": "Pictures are made, changed and varied, with previews on the way, from JSON and from forms.",
  "operations.speech": "Sound reaches the client as it is made.",
  "operations.transcription": "What is said is written down as JSON, text, subtitles or a stream, and translated.",
  "operations.judgements": "Texts are moderated, documents ranked and read.",
  "operations.model-left-out":
    "Where OpenAI's API lets the model out, the only one there is serves; of several the client is asked which.",
  "operations.realtime":
    "A WebSocket conversation is routed like a request, goes both ways, and says so when it is lost.",

  // Explaining.
  "explain.record": "A request's record says where it went, where it could not go and why, and where the time went.",
  "explain.dry-run": "A dry run says where a request would go, or why it would be refused, and sends nothing.",

  // Containers.
  "containers.composition":
    "The composition that ships comes up healthy and answers on loopback, for those who have a key.",
  "containers.hardened": "Containers run without root, without rights, and on file systems that cannot be written.",
  "containers.life": "A container that is stopped lets its requests end; one that is killed comes back.",
  "containers.logs": "Containers log JSON lines to stdout, without keys.",
  "containers.files":
    "Every Dockerfile in the repository has a pinned base, another user than root and a health check.",

  // Dependability, counted. `npm run test:resilience` runs the same scenarios in full.
  "resilience.killed-instance":
    "When one of two instances is killed under load, no request fails before its first byte and no stream is cut silently.",
  "resilience.frozen-instance": "When an instance freezes, no request outlives its deadlines.",
  "resilience.unroute": "A dead instance is left out by probes alone; under load at most three requests meet it.",
  "resilience.routable-at-once": "An instance that registers ready serves the next request.",
  "resilience.bad-record": "One bad record of a thousand is listed with its reason and hides no other.",
  "resilience.overload":
    "Under ten times more than it can do the fleet does what it can; the rest is told at once when to come back.",
  "resilience.hostile-clients":
    "Requests that two readers could read differently are refused; slow senders are dropped while others are served.",
  "resilience.malformed-bodies":
    "No malformed body crashes or hangs the gateway, or is answered with a failure of its own.",

  // The services that come with it.
  "cli.pictures": "`nexus ocr` and `nexus image` work on files: text out of pictures and PDFs, pictures out of text.",
  "cli.sounds":
    "`nexus speak` and `nexus transcribe` work on files and pipes, refuse early what cannot be done, and leave no half file.",
  "cli.texts": "Texts from arguments, files and stdin become vectors or a ranking with one command.",
  "services.builtin": "The services that the configuration names run, are routed to, and come and go with it.",
  "services.embeddings": "Texts that mean alike have vectors that are nearer to each other than to others'.",
  "services.speech":
    "A text becomes sound sentence by sentence, in the format, voice and speed that were asked for, until its client leaves.",
  "services.transcription": "What is said in a sound file is written down, with times, as text, JSON and subtitles.",
  "services.rerank": "The document that answers a query stands before those that do not.",
  "services.moderation": "Texts and pictures that hurt are flagged, others are not, and what cannot be judged is said.",
} as const satisfies Record<string, string>;

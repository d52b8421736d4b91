import { createInterface } from "node:readline/promises";
import { closestName } from "../base/close-names.ts";
import { type ChatAnswer, type ChatMessage, listChatModels, streamChat } from "./chat-client.ts";
import { toFailure } from "./cli-error.ts";
import type { CliContext } from "./context.ts";
import type { HttpTarget } from "./http-client.ts";
import { createPieceView } from "./show-pieces.ts";

export interface ConversationOptions {
  readonly context: CliContext;
  readonly gateway: HttpTarget;
  readonly model: string;
  readonly system: readonly ChatMessage[];
}

/** What a conversation remembers. Nothing of it is kept when it ends. */
interface Conversation {
  model: string;
  system: readonly ChatMessage[];
  messages: readonly ChatMessage[];
  last: ChatAnswer | undefined;
}

interface Command {
  readonly usage: string;
  readonly brief: string;
  /** Returns true to end the conversation. */
  run(argument: string): boolean | Promise<boolean>;
}

/** A conversation on the terminal, until /exit, Ctrl-D or Ctrl-C on an empty line. Ctrl-C stops an answer. */
export async function converse({ context, gateway, model, system }: ConversationOptions): Promise<void> {
  const { terminal } = context;
  const { paint } = terminal;
  const conversation: Conversation = { model, system, messages: [], last: undefined };
  const commands = commandsFor(conversation, context, gateway);
  const inputs: string[] = [];
  terminal.print(`${paint("bold", model)}  ${paint("dim", "/help lists commands, Ctrl-D ends")}`, "");
  for (;;) {
    const line = await readInput(context, inputs);
    if (line === undefined) return;
    const text = line.trim();
    if (text === "") continue;
    if (text.startsWith("/")) {
      if (await runCommand(commands, text, context)) return;
      continue;
    }
    await answerTurn(conversation, text, context, gateway);
  }
}

/** One input; a backslash at the end of a line goes on in the next. Undefined when the user is done. */
async function readInput(context: CliContext, history: string[]): Promise<string | undefined> {
  const { paint } = context.terminal;
  const lines: string[] = [];
  for (;;) {
    const line = await readLine(context, paint("cyan", lines.length === 0 ? "> " : "… "), history);
    if (line === undefined) return undefined;
    if (!line.endsWith("\\")) return [...lines, line].join("\n");
    lines.push(line.slice(0, -1));
  }
}

/** A reader for each line only: while an answer comes, Ctrl-C must reach the process and not the line editor. */
async function readLine({ stdin, stdout }: CliContext, prompt: string, history: string[]): Promise<string | undefined> {
  const reader = createInterface({
    input: stdin,
    output: stdout,
    history: [...history],
    removeHistoryDuplicates: true,
  });
  const ended = new AbortController();
  reader.on("SIGINT", () => {
    if (reader.line === "") return ended.abort();
    // As in a shell: what was typed goes, the prompt stays.
    reader.write(null, { ctrl: true, name: "e" });
    reader.write(null, { ctrl: true, name: "u" });
  });
  reader.on("close", () => ended.abort());
  reader.on("history", (lines: string[]) => history.splice(0, history.length, ...lines));
  try {
    return await reader.question(prompt, { signal: ended.signal });
  } catch {
    stdout.write("\n");
    return undefined;
  } finally {
    reader.close();
  }
}

async function answerTurn(
  conversation: Conversation,
  text: string,
  context: CliContext,
  gateway: HttpTarget,
): Promise<void> {
  const { terminal } = context;
  const messages: readonly ChatMessage[] = [...conversation.messages, { role: "user", content: text }];
  const stop = new AbortController();
  const release = context.interrupts.take(() => stop.abort());
  let content = "";
  const view = createPieceView(terminal);
  try {
    const answer = await streamChat(
      gateway,
      { model: conversation.model, messages: [...conversation.system, ...messages], signal: stop.signal },
      (piece) => {
        if (piece.kind === "answer") content += piece.text;
        view.show(piece);
      },
    );
    conversation.last = answer;
    view.end();
  } catch (error) {
    view.end();
    const failure = toFailure(error);
    const said = stop.signal.aborted ? ["(stopped)"] : failure.lines;
    terminal.note(content === "" ? "" : "\n", ...said.map((line) => terminal.paintNote("yellow", line)));
  } finally {
    release();
  }
  // A question without any answer would make the next one look like two in a row.
  if (content !== "") conversation.messages = [...messages, { role: "assistant", content }];
  terminal.print("", "");
}

async function runCommand(
  commands: ReadonlyMap<string, Command>,
  text: string,
  { terminal }: CliContext,
): Promise<boolean> {
  const [name = "", ...rest] = text.slice(1).split(" ");
  const command = commands.get(name);
  if (command !== undefined) return command.run(rest.join(" ").trim());
  const meant = closestName(name, commands.keys());
  terminal.print(
    `There is no /${name}.${meant === undefined ? " /help lists commands." : ` Did you mean /${meant}?`}`,
    "",
  );
  return false;
}

function commandsFor(
  conversation: Conversation,
  { terminal, interrupts }: CliContext,
  gateway: HttpTarget,
): ReadonlyMap<string, Command> {
  const say = (...lines: readonly string[]) => {
    terminal.print(...lines.map((line) => terminal.paint("dim", line)), "");
    return false;
  };
  const commands = new Map<string, Command>();
  commands.set("help", {
    usage: "/help",
    brief: "This list",
    run: () => say(...[...commands.values()].map(({ usage, brief }) => `${usage.padEnd(16)}${brief}`)),
  });
  commands.set("model", {
    usage: "/model [ID]",
    brief: "Show the models, or take another",
    async run(id) {
      const models = await listChatModels(gateway, interrupts.signal);
      if (id === "") return say(...models.map((known) => `${known === conversation.model ? "*" : " "} ${known}`));
      if (!models.includes(id)) return say(`There is no model '${id}'. ${suggest(id, models)}`);
      conversation.model = id;
      return say(`From here on ${id} answers.`);
    },
  });
  commands.set("system", {
    usage: "/system [TEXT]",
    brief: "Set the system message; without text, take it away",
    run(text) {
      conversation.system = text === "" ? [] : [{ role: "system", content: text }];
      return say(text === "" ? "No system message." : "The system message is set.");
    },
  });
  commands.set("clear", {
    usage: "/clear",
    brief: "Forget what was said",
    run() {
      conversation.messages = [];
      return say("Forgotten.");
    },
  });
  commands.set("usage", {
    usage: "/usage",
    brief: "Tokens of the last answer",
    run: () => say(JSON.stringify(conversation.last?.usage ?? "no answer yet")),
  });
  commands.set("exit", { usage: "/exit", brief: "End the conversation", run: () => true });
  return commands;
}

function suggest(id: string, models: readonly string[]): string {
  const meant = closestName(id, models);
  return meant === undefined ? "/model lists them." : `Did you mean ${meant}?`;
}

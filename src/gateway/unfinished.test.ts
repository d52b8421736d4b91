import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FakeClock } from "../../test/fakes/fake-clock.ts";
import { recordingLogger } from "../../test/support/gateway.ts";
import { ClientAnswer } from "./client-answer.ts";
import type { ClientReply } from "./client-io.ts";
import { CollectedReply } from "./collected-reply.ts";
import { Exchange } from "./exchange.ts";
import { OwnRequest } from "./own-request.ts";
import { type AnswerFraming, pipeAnswer } from "./pipe-answer.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

/** Its client reads nothing until it is told to. */
class StuckReply extends CollectedReply implements ClientReply {
  drained = (): void => {};

  override write(chunk: Buffer | string): boolean {
    super.write(chunk);
    return false;
  }

  override onDrain(run: () => void): void {
    this.drained = run;
  }
}

function open(reply: ClientReply, clock = new FakeClock()): Exchange {
  const request = new OwnRequest({
    method: "POST",
    target: "/",
    headers: {},
    body: Buffer.alloc(0),
    onBehalfOf: "k",
  });
  return new Exchange(request, reply, { log: recordingLogger([]), clock });
}

/** All of it is there at once, as short answers are. */
function answerOf(text: string): UpstreamAnswer {
  return {
    status: 200,
    headers: {},
    pipe(sink) {
      sink.data(Buffer.from(text));
      sink.end();
    },
    resume: () => {},
    discard: () => {},
  };
}

describe("what ends before its time", () => {
  it("gives back what was taken after the client had left, and what was taken last first", () => {
    const exchange = open(new CollectedReply(100));
    const given: string[] = [];
    exchange.onEnd(() => given.push("place"));
    exchange.onEnd(() => given.push("count"));
    exchange.end();
    exchange.onEnd(() => given.push("late"));
    assert.deepEqual(given, ["count", "place", "late"]);
  });

  it("a client that has stopped to read is cut after five minutes, one that reads slowly is not", async () => {
    const clock = new FakeClock();
    const reply = new StuckReply(1_000);
    const client = new ClientAnswer(open(reply, clock), 1_000);
    let resumed = 0;
    let isCut = false;
    reply.onClose((finished) => {
      isCut = !finished;
    });
    client.openStream();
    for (let minute = 0; minute < 10; minute++) {
      client.write(Buffer.from("piece"), () => resumed++);
      await clock.tick(60_000);
      reply.drained();
    }
    assert.deepEqual([resumed, isCut], [10, false]);
    client.write(Buffer.from("piece"), () => {});
    await clock.tick(299_000);
    assert.equal(isCut, false);
    await clock.tick(2_000);
    assert.equal(isCut, true);
    client.close();
    assert.equal(clock.pending, 0);
  });

  it("ends no answer as if it were whole when it was nonsense and its end came with it", async () => {
    const reply = new CollectedReply(1_000);
    const client = new ClientAnswer(open(reply), 1_000);
    const framing: AnswerFraming = {
      push() {
        throw new Error("nonsense");
      },
      end() {
        client.end(200, {}, Buffer.from("whole"));
        return undefined;
      },
    };
    await assert.rejects(pipeAnswer(answerOf("x"), client, framing), /nonsense/);
    assert.equal(reply.headersSent, false);
    client.close();
  });
});

import type { Duplex, Readable, Writable } from "node:stream";
import { agentMessage, failureMessage, readAgentMessages, writeAgentMessage } from "./ssh-agent-messages.js";

/**
 * Passes an agent connection on, but only questions for keys and for signatures.
 *
 * Everything else (adding, removing, locking, extensions) is answered with a failure and never reaches the agent, as
 * BuildKit's own client does: a build may use keys, not change them. One message at a time, so that answers keep their
 * order. Resolves when the other side has ended; rejects if either side breaks off within a message.
 */
export async function filterAgent(asks: Readable, answers: Writable, agent: Duplex): Promise<void> {
  const questions = readAgentMessages(asks);
  const replies = readAgentMessages(agent);
  for await (const question of questions) {
    const kind = question[4];
    if (kind !== agentMessage.requestIdentities && kind !== agentMessage.signRequest) {
      await writeAgentMessage(answers, failureMessage);
      continue;
    }
    await writeAgentMessage(agent, question);
    const reply = await replies.next();
    if (reply.done === true) throw new Error("the ssh agent hung up without an answer");
    await writeAgentMessage(answers, reply.value);
  }
}

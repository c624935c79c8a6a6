/** Restores the order of prompts: the answers of a batch arrive as they end. */
import type { AnswerEvent } from './generator.js'

/** Yields each answer after those of all earlier prompts, and pieces at once. If generation ends early, yields the answers that remain. */
export async function* orderedOutput(events: AsyncIterable<AnswerEvent>): AsyncGenerator<AnswerEvent> {
  const waiting = new Map<number, AnswerEvent>()
  let next = 0
  for await (const event of events) {
    if (event.kind === 'piece') yield event
    else waiting.set(event.prompt, event)
    for (let first = waiting.get(next); first !== undefined; first = waiting.get(++next)) {
      waiting.delete(next)
      yield first
    }
  }
  for (const [, answer] of [...waiting].sort(([a], [b]) => a - b)) yield answer // an earlier prompt was aborted
}

/** Answers in the order of their prompts, though those of a batch come as they end. */
import type { AnswerEvent } from './generator.js'

/** Each answer once those of all prompts before it have come; pieces as they come. Where the answers end early, those that came are handed out last. */
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
  yield* waiting.values() // those before them were given up
}

/**
 * A classifier behind an HTTP route, with node:http only. `salora train` makes the run; this serves it:
 *
 *   node dist/examples/http-classifier/server.js runs/reviews [PORT]
 *   curl -d '{"texts": ["The food was superb."]}' http://127.0.0.1:8080/classify
 */
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isExpected, openTrainedAdapter, type TrainedAdapter } from 'salora'

const largestBody = 1 << 20

/** @throws RangeError for a body of more than 1 MiB, SyntaxError for one that is not JSON */
const jsonBody = async (request: IncomingMessage): Promise<unknown> => {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > largestBody) throw new RangeError('the body is too large')
    chunks.push(chunk)
  }
  return JSON.parse(Buffer.concat(chunks).toString('utf8'))
}

const textsOf = (body: unknown): readonly string[] | null => {
  const texts = typeof body === 'object' && body !== null && 'texts' in body ? body.texts : null
  return Array.isArray(texts) && texts.length <= 100 && texts.every((text) => typeof text === 'string' && text !== '') ? texts : null
}

/** Probabilities of the classes, from logits. */
const softmax = (logits: readonly number[]): readonly number[] => {
  const largest = Math.max(...logits)
  const powers = logits.map((logit) => Math.exp(logit - largest))
  const sum = powers.reduce((a, b) => a + b, 0)
  return powers.map((power) => power / sum)
}

/** POST /classify `{ texts: [...] }` → `[{ text, label, score }, ...]`. One request at a time uses the session; the others wait for it. */
export const classifierServer = (classifier: Pick<TrainedAdapter, 'predict' | 'labelNames'>): Server => {
  let last: Promise<unknown> = Promise.resolve()
  const classify = (texts: readonly string[]) => {
    const answer = last.then(() => classifier.predict(texts.map((text) => ({ text }))))
    last = answer.catch(() => undefined)
    return answer
  }
  return createServer(async (request, response) => {
    const reply = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`)
    }
    if (request.url !== '/classify') return reply(404, { error: 'expected POST /classify' })
    if (request.method !== 'POST') return reply(405, { error: 'expected POST' })
    try {
      const texts = textsOf(await jsonBody(request))
      if (texts === null) return reply(400, { error: 'expected { "texts": [...] } with at most 100 texts' })
      const outputs = await classify(texts)
      reply(
        200,
        outputs.map((logits, i) => {
          const scores = softmax(logits)
          const best = scores.indexOf(Math.max(...scores))
          return { text: texts[i], label: classifier.labelNames?.[best] ?? String(best), score: scores[best] }
        }),
      )
    } catch (error) {
      if (error instanceof SyntaxError) return reply(400, { error: 'expected JSON' })
      if (error instanceof RangeError) return reply(413, { error: error.message })
      reply(isExpected(error) ? 400 : 500, { error: error instanceof Error ? error.message : String(error) })
    }
  })
}

/** A run's adapter on the run's model. */
const openRun = async (run: string): Promise<TrainedAdapter> => {
  const { model, settings } = JSON.parse(await readFile(join(run, 'config.json'), 'utf8')) as {
    readonly model: string
    readonly settings: { readonly maxLength: number | null }
  }
  return openTrainedAdapter({ model, adapter: join(run, 'adapter'), maxLength: settings.maxLength })
}

const main = async ([run, port = '8080']: readonly string[]): Promise<void> => {
  if (run === undefined) throw new Error('usage: server.js RUN [PORT]')
  const classifier = await openRun(run)
  const server = classifierServer(classifier).listen(Number(port), '127.0.0.1', () => {
    const address = server.address()
    console.log(`http://127.0.0.1:${typeof address === 'object' ? address?.port : port}/classify`)
  })
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main(process.argv.slice(2))

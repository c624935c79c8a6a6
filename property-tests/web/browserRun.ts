/** A run in a real Chromium by the worker of the built page, and the same run in Node. */
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { unzipSync } from 'fflate'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { embeddedModel } from '../../finetuning/embedded/quickstart.js'
import { finetuneJob } from '../../finetuning/nodeMachine.js'
import type { FinetuneEvent } from '../../finetuning/run/run.js'
import { writeTinyModel } from '../cli/tinyModel.js'
import { buildPage } from '../../scripts/webPage.js'
import { pageServer } from '../../scripts/servePage.js'

export type Served = { readonly url: string; readonly close: () => void }

/** A server of the page in `folder`. @param isolated whether it sends COOP and COEP */
export const served = async (folder: string, isolated = true): Promise<Served> => {
  const server = pageServer(folder, isolated)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://localhost:${port}/`,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** The built page and a small file of sentences. */
export const pageAndData = async () => {
  const root = await mkdtemp(join(tmpdir(), 'salora-web-'))
  await buildPage(join(root, 'page'))
  const sentences = (await readFile(join(root, 'page/samples/reviews.jsonl'), 'utf8')).trim().split('\n').slice(0, 60)
  const rows = sentences.map((line) => JSON.parse(line) as { readonly label: string; readonly text: string })
  const csv = `text,label\n${rows.map(({ text, label }) => `"${text.replaceAll('"', '""')}",${label === 'positive' ? 'good' : 'bad'}`).join('\n')}\n`
  await writeFile(join(root, 'reviews.csv'), csv)
  return { root, page: join(root, 'page'), file: join(root, 'reviews.csv'), csv }
}

/** Chromium has no switch for it, so each program of the page begins without the names that other browsers do not have. */
const withoutPromises = "for (const name of ['Suspending', 'promising', 'SuspendError']) delete WebAssembly[name];\n"

/** Pages as in a browser whose WebAssembly cannot wait for promises. They add the WebAssembly that they load to `builds`. */
export const olderBrowser = async (browser: Browser, builds: string[]): Promise<BrowserContext> => {
  const context = await browser.newContext({ serviceWorkers: 'block' })
  await context.route(/\/(page|worker)\.js$/, async (route) => {
    const response = await route.fetch()
    await route.fulfill({ response, body: withoutPromises + (await response.text()) })
  })
  context.on('request', (request) => builds.push(...(/[\w.-]+\.wasm$/.exec(request.url()) ?? [])))
  return context
}

/** Enough gated steps that rounding does not decide which ranks are kept. */
const window = { gateStart: 0.2, gateEnd: 0.5 }
/** Settings of a run in Node and in the browser: those given, over `runSettings`. */
const chosenSettings = (given: object) => ({ ...('method' in given ? {} : window), ...runSettings, ...given })

export const runSettings = {
  method: 'salora',
  maxSteps: 20,
  batchSize: 8,
  maxLength: 32,
  learningRate: 0.001,
  threads: 1,
  saveSteps: 5,
  seed: 3,
} as const

/** The run in Node, on one thread of the processor. */
export const inNode = async (
  file: string,
  output: string,
  settings: object = {},
  model: string = embeddedModel,
): Promise<readonly FinetuneEvent[]> => {
  const events: FinetuneEvent[] = []
  const options = { model, task: { task: file }, output, settings: { ...chosenSettings(settings), device: 'cpu' as const } }
  for await (const event of finetuneJob(options, new AbortController().signal)) events.push(event)
  return events
}

/** The part of a browser's Worker that is needed: this program's types have none. */
type PageWorker = {
  onmessage: (message: { readonly data: Answer }) => void
  onerror: (error: { readonly message: string }) => void
  readonly postMessage: (request: object) => void
  readonly terminate: () => void
}
type Answer =
  | { readonly kind: 'event'; readonly event: FinetuneEvent }
  | { readonly kind: 'error'; readonly message: string }
  | { readonly kind: 'ready' | 'ended' | 'runs' }
  | { readonly kind: 'download'; readonly bytes: Uint8Array }
type PageScope = { worker?: PageWorker; readonly Worker: new (file: string, options: { readonly type: 'module' }) => PageWorker }

type Asked = {
  readonly name: string
  readonly csv?: string
  /** whether the file is packed by gzip */
  readonly isPacked?: boolean
  readonly resume?: boolean
  readonly settings?: object
  /** the files of a model's folder in base64, in place of the embedded model */
  readonly modelFiles?: Readonly<Record<string, string>>
  /** returns after this step, in the midst of the run */
  readonly leaveAfter?: number
}

/** Writes the tiny model into `folder`. → its files in base64, as a page gets them */
export const tinyModelFiles = async (folder: string): Promise<Readonly<Record<string, string>>> => {
  await writeTinyModel(folder)
  const names = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors']
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name), 'base64')] as const)))
}

/** Runs in the page's worker. → the events until the end of the run */
export const inBrowser = (page: Page, { settings = {}, isPacked = false, ...asked }: Asked): Promise<readonly FinetuneEvent[]> =>
  page.evaluate(
    ({ name, csv, packed, resume = false, chosen, modelFiles, leaveAfter }) =>
      new Promise<FinetuneEvent[]>((resolve, reject) => {
        const scope = globalThis as unknown as PageScope
        scope.worker?.terminate()
        const worker = new scope.Worker('worker.js', { type: 'module' })
        scope.worker = worker
        const events: FinetuneEvent[] = []
        const model =
          modelFiles === undefined
            ? { kind: 'embedded' }
            : {
                kind: 'folder',
                name: 'tiny',
                files: Object.entries(modelFiles).map(
                  ([file, base64]) => new File([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], file),
                ),
              }
        worker.onmessage = ({ data }) => {
          if (data.kind === 'ready') {
            const bytes = (base64: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
            const plain = csv === undefined ? null : new File([csv], 'reviews.csv')
            const file = packed === null ? plain : new File([bytes(packed)], 'reviews.csv.gz')
            worker.postMessage({
              kind: 'start',
              run: { name, model, data: file, task: {}, settings: chosen, resume },
            })
          }
          if (data.kind === 'error') reject(new Error(data.message))
          if (data.kind === 'ended') resolve(events)
          if (data.kind !== 'event') return
          events.push(data.event)
          if (data.event.kind === 'step' && data.event.step === leaveAfter) resolve(events)
        }
        worker.onerror = ({ message }) => reject(new Error(message))
      }),
    { ...asked, chosen: chosenSettings(settings), packed: isPacked ? gzipSync(asked.csv ?? '').toString('base64') : null },
  )

/** Asks the worker of the page. → its answer of this kind */
export const asked = (page: Page, request: object, kind: string): Promise<unknown> =>
  page.evaluate(
    ({ sent, of }) =>
      new Promise<unknown>((resolve, reject) => {
        const { worker } = globalThis as unknown as PageScope
        if (worker === undefined) throw new Error('asked: expected a run before it, got none')
        worker.onmessage = ({ data }) => {
          if (data.kind === of) resolve(data.kind === 'download' ? [...data.bytes] : data)
          if (data.kind === 'error') reject(new Error(data.message))
        }
        worker.postMessage(sent)
      }),
    { sent: request, of: kind },
  )

/** The files of a run in the page's storage, as the page downloads them. */
export const downloaded = async (page: Page, run: string, part: 'adapter' | 'run'): Promise<Readonly<Record<string, Uint8Array>>> =>
  unzipSync(Uint8Array.from((await asked(page, { kind: 'download', run, part }, 'download')) as number[]))

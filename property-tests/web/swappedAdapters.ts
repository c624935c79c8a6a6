/** A base whose adapters are inputs, random adapters of it as PEFT folders, as single files, and merged, and a server of them. */
import { mkdir, readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { saveAdapter } from '../../accelerated/formats/peft/peft.js'
import { sentenceEncoder } from '../../accelerated/models/layers/classifierHead.js'
import { selectHead, type ModelOutputs } from '../../accelerated/models/modelOutputs.js'
import { normals } from '../../accelerated/parameters/random.js'
import { exportAdapter, type ExportOptions } from '../../finetuning/use/exportAdapter.js'

export type Kind = {
  readonly rank: number
  readonly rslora?: boolean
  readonly labels?: readonly string[]
  /** whether the classifier reads the mean of the tokens, as ours of a sentence encoder does */
  readonly pooled?: true
}

/** Five adapters: ranks, scales and numbers of classes differ. */
export const fiveKinds: Readonly<Record<string, Kind>> = {
  sentiment: { rank: 4, labels: ['bad', 'good'] },
  topic: { rank: 8, rslora: true, labels: ['sports', 'world', 'business', 'science'] },
  spam: { rank: 1, labels: ['ham', 'spam'] },
  mood: { rank: 6, labels: ['calm', 'glad', 'sad'] },
  language: { rank: 3, rslora: true, labels: ['de', 'en', 'fr', 'it', 'nl'] },
}

const random = (stream: number, shape: readonly number[], scale: number) => ({
  shape,
  data: Float32Array.from(
    normals(
      5,
      'initialization',
      stream,
      shape.reduce((a, b) => a * b, 1),
    ),
    (x) => x * scale,
  ),
})

/** Every other matrix has half the rank, and so a pattern of its own. → the folder */
export const writeKind = async (
  folder: string,
  base: string,
  { rank, rslora = false, labels = [], pooled }: Kind,
  head: ModelOutputs['head'] = 'sequence',
): Promise<string> => {
  const { model: plain } = await openModelFolder(base)
  const model = pooled === true ? sentenceEncoder(plain) : plain
  const problemType = 'single_label_classification'
  const outputs = { head, labels: labels.length, ...(head === 'sequence' ? { problemType } : {}) } as ModelOutputs
  await mkdir(folder, { recursive: true })
  const seed = 1000 * rank
  await saveAdapter(folder, {
    ...{ model, outputs, baseModelName: base, rank, alpha: 2 * rank, rslora },
    ...(labels.length > 0 ? { labelNames: labels } : {}),
    modules: new Map(
      model.spec.matrices.map(({ name, d, k }, i) => {
        const r = i % 2 === 0 ? rank : Math.ceil(rank / 2)
        return [name, { A: random(seed + 2 * i, [r, k], 1 / Math.sqrt(k)), B: random(seed + 2 * i + 1, [d, r], 0.1 / Math.sqrt(r)) }]
      }),
    ),
    head: new Map([...selectHead(model, outputs).tensors].map(([name, shape], i) => [name, random(seed + 500 + i, shape, 0.3)])),
  })
  return folder
}

export const exportTo = async (output: string, model: string, adapter: string, more: Partial<ExportOptions>): Promise<string> => {
  const common = { model, adapter, output, precision: 'float32', maxLength: 32, targeted: null } as const
  await exportAdapter({ ...common, format: 'transformers.js', ...more })
  return output
}

export type Files = { readonly url: string; readonly close: () => void }

/** Serves the files of a folder, and what `answer` says for other paths. */
export const serveFiles = async (folder: string, more: Readonly<Record<string, Buffer>> = {}): Promise<Files> => {
  const server: Server = createServer(async (request, response) => {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname.slice(1)
    const bytes = more[path] ?? (await readFile(join(folder, path)).catch(() => null))
    const type = /\.m?js$/.test(path) ? 'text/javascript' : path.endsWith('.wasm') ? 'application/wasm' : 'text/html'
    if (bytes === null) return void response.writeHead(404).end()
    response.writeHead(200, { 'content-type': type }).end(bytes)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

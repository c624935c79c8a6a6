/**
 * Writes docs/generate/kernels/webgpu.json: where ONNX Runtime places the nodes of our step graphs if a session has WebGPU. It opens sessions in
 * Chromium on its software GPU, and runs none: `npm run build && node dist/property-tests/kernels/writeWebgpu.js`.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { chromium, type Page } from 'playwright-core'
import { webgpu } from '../../accelerated/engines/devices/device.js'
import { messageType } from '../support/onnxSchema.js'
import { type Placements, placementsOf } from './placements.js'
import { allFamilies, objectiveCases, stepCases, writtenStep } from './stepCases.js'
import { signature, typedNodes } from './typedNodes.js'

const runtime = 'node_modules/onnxruntime-web'
const { version } = JSON.parse(readFileSync(join(runtime, 'package.json'), 'utf8')) as { readonly version: string }

type Tensor = {
  readonly name: string
  readonly dataType: number
  readonly dims: readonly number[]
  readonly externalData: readonly object[]
}
type Decoded = { readonly graph: { readonly initializer: readonly Tensor[]; readonly input: readonly object[] } }

/** The model with its weights as inputs: a session for placements reads no files. */
const withoutWeights = (bytes: Uint8Array): Uint8Array => {
  const type = messageType('ModelProto')
  const model = type.toObject(type.decode(bytes), { arrays: true }) as Decoded
  const isStored = ({ externalData }: Tensor): boolean => externalData.length > 0
  const declared = ({ name, dataType, dims }: Tensor): object => ({
    name,
    type: { tensorType: { elemType: dataType, shape: { dim: dims.map((dimValue) => ({ dimValue })) } } },
  })
  const { initializer, input } = model.graph
  const graph = {
    ...model.graph,
    initializer: initializer.filter((tensor) => !isStored(tensor)),
    input: [...input, ...initializer.filter(isStored).map(declared)],
  }
  return type.encode(type.fromObject({ ...model, graph })).finish()
}

/** Serves one model and the runtime's files, with the headers that its threads need. */
const serve = (model: () => Uint8Array): Promise<Server> => {
  const server = createServer(({ url = '/' }, response) => {
    const path = url.replace(/\?.*/, '')
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin')
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp')
    if (path === '/') response.setHeader('Content-Type', 'text/html').end('<!doctype html>')
    else if (path === '/favicon.ico') response.writeHead(404).end()
    else if (path === '/model') response.end(model())
    else {
      response.setHeader('Content-Type', path.endsWith('.wasm') ? 'application/wasm' : 'text/javascript')
      response.end(readFileSync(join(runtime, 'dist', path.replaceAll('..', ''))))
    }
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))
}

const openSession = (page: Page): Promise<string> =>
  page.evaluate<string>(`(async () => {
    const ort = await import('/ort.webgpu.bundle.min.mjs')
    ort.env.wasm.wasmPaths = '/'
    ort.env.logLevel = 'verbose'
    const model = new Uint8Array(await (await fetch('/model')).arrayBuffer())
    const options = { executionProviders: ['webgpu'], logSeverityLevel: 0, graphOptimizationLevel: 'disabled' }
    await (await ort.InferenceSession.create(model, options)).release()
    return ort.env.versions.web
  })()`)

let model: Uint8Array = new Uint8Array()
const server = await serve(() => model)
const browser = await chromium.launch({
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'],
})
const page = await (await browser.newContext()).newPage()
let lines: string[] = []
page.on('console', (message) => lines.push(message.text()))
await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)

const placed = new Map<string, 'gpu' | 'cpu' | 'both'>()
const seen = new Set<string>()
for (const target of [webgpu.target, { ...webgpu.target, lacks: [] }])
  for (const step of [...(await stepCases(allFamilies)), ...objectiveCases]) {
    const bytes = await writtenStep(step, target)
    const nodes = typedNodes(bytes)
    if (nodes.every((node) => placed.has(signature(node)))) continue
    model = withoutWeights(bytes)
    lines = []
    await openSession(page)
    await page.waitForTimeout(200) // its last lines
    const places: Placements = placementsOf(lines)
    for (const node of nodes) {
      const place = places.get(node.name)
      seen.add(signature(node))
      if (place === undefined) continue // the runtime has merged it with another node
      const before = placed.get(signature(node)) ?? place
      placed.set(signature(node), before === place ? place : 'both')
    }
  }
await browser.close()
server.close()
const without = [...seen].filter((name) => !placed.has(name))
if (without.length > 0) throw new Error(`writeWebgpu: expected a place of each node, got none of ${without.join(', ')}`)

const table = {
  source: `sessions of onnxruntime-web ${version} with its WebGPU provider in Chromium, without optimizers`,
  placed: Object.fromEntries([...placed].sort(([a], [b]) => (a < b ? -1 : 1))),
}
writeFileSync('docs/generate/kernels/webgpu.json', `${JSON.stringify(table, null, 2)}\n`)

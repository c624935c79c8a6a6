/** Steps opened in Chromium by WebGPU as the page opens them, and where ONNX Runtime then says that their nodes are. It runs none of them. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Tensor } from 'onnxruntime-node'
import type { Browser, Page, Route } from 'playwright-core'
import { afterAll, beforeAll } from 'vitest'
import { webGpu, type WebRuntime } from '../../accelerated/engines/onnxRuntimeWeb.js'
import { placementsOf, type Placements } from '../kernels/placements.js'
import { openStep, type StepCase } from '../kernels/stepCases.js'
import { typedNodes, type TypedNode } from '../kernels/typedNodes.js'
import { hasChromium, launchChromium, softwareCard } from '../support/chromium.js'

type Opened = {
  readonly graph: Uint8Array
  readonly options: { readonly externalData?: readonly { readonly path: string; readonly data: Uint8Array }[] }
}

/** The model of this step and the options of its session, as the page's engine gives them to ONNX Runtime. */
const openedAs = async (step: StepCase): Promise<Opened> => {
  const opened: Opened[] = []
  const session = { inputNames: [], release: async () => undefined }
  const create = async (graph: Uint8Array, options: Opened['options']): Promise<typeof session> => {
    opened.push({ graph, options })
    return session
  }
  const runtime = { Tensor, env: { webgpu: {} }, InferenceSession: { create } } as unknown as WebRuntime
  await openStep(step, webGpu(async () => runtime, { halves: step.precision === 'mixed' }).engine({ threads: 1 }))
  return opened.reduce((largest, one) => (one.graph.length > largest.graph.length ? one : largest)) // others keep the card, and free weights
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer => Buffer.from(buffer, byteOffset, byteLength)

const answer = async (route: Route, { graph, options: { externalData = [] } }: Opened): Promise<void> => {
  const name = decodeURIComponent(new URL(route.request().url()).pathname.slice(1))
  if (name === '') return route.fulfill({ contentType: 'text/html', body: '<!doctype html>' })
  if (name === 'graph') return route.fulfill({ body: bytesOf(graph) })
  const weights = externalData.find(({ path }) => name === `weights/${path}`)
  if (weights !== undefined) return route.fulfill({ body: bytesOf(weights.data) })
  const contentType = name.endsWith('.wasm') ? 'application/wasm' : 'text/javascript'
  return route.fulfill({ contentType, body: await readFile(join('node_modules/onnxruntime-web/dist', name)).catch(() => '') })
}

/** Keeps the lines on nodes: ONNX Runtime writes thousands of others. */
const start = `(async () => {
  globalThis.lines = []
  const keep = (line) => String(line).includes('VerifyEachNodeIsAssignedToAnEp') && lines.push(line)
  for (const name of ['log', 'error', 'warn', 'info', 'debug']) console[name] = keep
  globalThis.ort = await import('/ort.jspi.bundle.min.mjs')
  ort.env.wasm.wasmPaths = '/'
  ort.env.wasm.numThreads = 1
  ort.env.logLevel = 'verbose'
})()`

const open = (page: Page, { externalData = [], ...options }: Opened['options']): Promise<readonly string[]> =>
  page.evaluate<readonly string[]>(`(async () => {
    const read = async (name) => new Uint8Array(await (await fetch(name)).arrayBuffer())
    const path = ${JSON.stringify(externalData.map(({ path }) => path))}
    const externalData = await Promise.all(path.map(async (path) => ({ path, data: await read('weights/' + encodeURIComponent(path)) })))
    const options = { ...${JSON.stringify(options)}, externalData, logSeverityLevel: 0 }
    await (await ort.InferenceSession.create(await read('graph'), options)).release()
    return lines.splice(0)
  })()`)

const isFloat = ({ inputs, outputs }: TypedNode): boolean => [...inputs, ...outputs].some((type) => type?.startsWith('float') === true)

export type PlacedStep = {
  /** the float nodes that are on the processor: operator and name */
  readonly onCpu: readonly string[]
  /** the share of the step's nodes that have a place: ONNX Runtime computes or merges the others as it opens the session */
  readonly placed: number
}

const placedStep = (nodes: readonly TypedNode[], places: Placements): PlacedStep => {
  const known = new Map(nodes.map((node) => [node.name, node] as const))
  const onCpu = [...places].flatMap(([name, place]) => {
    const node = known.get(name)
    return place === 'cpu' && (node === undefined || isFloat(node)) ? [`${node?.operator ?? 'fused'} ${name}`] : []
  })
  return { onCpu, placed: nodes.filter(({ name }) => places.has(name)).length / nodes.length }
}

/** A page that opens steps, one after another. */
const stepsPage = async (browser: Browser): Promise<(step: StepCase) => Promise<PlacedStep>> => {
  const page = await browser.newPage()
  let opened: Opened = { graph: new Uint8Array(), options: {} }
  await page.route('http://localhost/**', (route) => answer(route, opened))
  await page.goto('http://localhost/')
  await page.evaluate(start)
  return async (step) => {
    opened = await openedAs(step)
    return placedStep(typedNodes(opened.graph), placementsOf(await open(page, opened.options)))
  }
}

/** Opens steps in a Chromium with a software card, which lives as long as the tests of a file. */
export const placedInChromium = (): ((step: StepCase) => Promise<PlacedStep>) => {
  let browser: Browser | null = null
  let placed: ((step: StepCase) => Promise<PlacedStep>) | null = null
  beforeAll(async () => {
    if (!hasChromium) return
    browser = await launchChromium(...softwareCard)
    placed = await stepsPage(browser)
  }, 60_000)
  afterAll(async () => browser?.close())
  return async (step) => {
    if (placed === null) throw new Error('placedInChromium: expected a browser, got none')
    return placed(step)
  }
}

/** Runs expressions on the CPU provider for tests, and reads a model's bytes back through an ONNX schema of its own. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import protobuf from 'protobufjs'
import type { Feed, Feeds } from '../../accelerated/engines/feeds.js'
import type { Expression, Shape } from '../../accelerated/graph/expression.js'
import { cpu } from '../../accelerated/engines/devices/device.js'
import { noWeights, type Results, type Session } from '../../accelerated/engines/engine.js'
import { slope } from './finiteDifference.js'

type Outputs = Readonly<Record<string, Expression>>

/** A file of weights. */
type WeightFile = { readonly location: string; readonly bytes: Uint8Array }

/** A session on one thread of the CPU provider: these graphs are tiny, and the machine may be busy. */
export const openGraph = async (outputs: Outputs, weightFiles: readonly WeightFile[] = []): Promise<Session> => {
  const engine = cpu.engine({ threads: 1 })
  if (weightFiles.length === 0) return engine.open(outputs, noWeights)
  const folder = await mkdtemp(join(tmpdir(), 'salora-weights-'))
  try {
    for (const { location, bytes } of weightFiles) await writeFile(join(folder, location), bytes)
    return await engine.open(outputs, async () => folder)
  } finally {
    await rm(folder, { recursive: true }) // mapped files stay readable
  }
}

/** The session of `outputs` for as long as `use` runs. */
export const withGraph = async <A>(
  outputs: Outputs,
  use: (run: Session['run']) => Promise<A>,
  weightFiles: readonly WeightFile[] = [],
): Promise<A> => {
  const session = await openGraph(outputs, weightFiles)
  try {
    return await use(session.run)
  } finally {
    await session.release()
  }
}

/** One run of a session that is opened for it. */
export const evaluate = (outputs: Outputs, feeds: Feeds = {}, weightFiles: readonly WeightFile[] = []): Promise<Results> =>
  withGraph(outputs, (run) => run(feeds), weightFiles)

/** The numbers of a result. @throws Error if it is absent */
export const resultOf = (results: Results, name: string): readonly number[] => {
  const result = results[name]
  if (result === undefined) throw new Error(`resultOf: expected output ${name}, got ${Object.keys(results).join(', ')}`)
  return Array.from<number | bigint, number>(result as ArrayLike<number | bigint>, Number)
}

export const float64 = (data: ArrayLike<number>, shape: readonly number[] = [data.length]): Feed => ({
  data: Float64Array.from(data),
  shape,
})
export const float32 = (data: ArrayLike<number>, shape: readonly number[] = [data.length]): Feed => ({
  data: Float32Array.from(data),
  shape,
})
export const int32 = (data: ArrayLike<number>, shape: readonly number[] = [data.length]): Feed => ({
  data: Int32Array.from(data),
  shape,
})
export const int64 = (data: ArrayLike<number>, shape: readonly number[] = [data.length]): Feed => ({
  data: BigInt64Array.from(Array.from(data, BigInt)),
  shape,
})

/** The number of elements of a shape. */
export const elements = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1)
export const sized = (shape: Shape, sizes: Readonly<Record<string, number>>): readonly number[] =>
  shape.map((d) => (typeof d === 'number' ? d : (sizes[d] ?? NaN)))

/**
 * ∂f/∂x[i] for every i by central differences, where f runs a session. `slope` is synchronous, so it is called twice: first to collect its steps,
 * then to compute the derivative from f at these steps.
 */
export const differences = async (f: (x: Float64Array) => Promise<number>, x: Float64Array): Promise<Float64Array> => {
  const steps: number[] = []
  slope((step) => steps.push(step))
  const gradient = new Float64Array(x.length)
  for (let i = 0; i < x.length; i++) {
    const values = new Map<number, number>()
    for (const step of steps) values.set(step, await f(x.with(i, (x[i] ?? NaN) + step)))
    gradient[i] = slope((step) => values.get(step) ?? NaN)
  }
  return gradient
}

/** Field numbers of onnx.proto3, repeated on purpose: the test reads our bytes by an independent schema. */
const schema = protobuf.parse(`
  syntax = "proto3";
  message ModelProto { repeated OperatorSetIdProto opset_import = 8; GraphProto graph = 7; }
  message OperatorSetIdProto { string domain = 1; int64 version = 2; }
  message GraphProto { repeated NodeProto node = 1; repeated TensorProto initializer = 5; repeated ValueInfoProto input = 11; repeated ValueInfoProto output = 12; repeated ValueInfoProto value_info = 13; }
  message NodeProto { repeated string input = 1; repeated string output = 2; string name = 3; string op_type = 4; repeated AttributeProto attribute = 5; string domain = 7; }
  message AttributeProto { string name = 1; int64 i = 3; }
  message TensorProto { repeated int64 dims = 1; int32 data_type = 2; string name = 8; bytes raw_data = 9; }
  message ValueInfoProto { string name = 1; TypeProto type = 2; }
  message TypeProto { TensorTypeProto tensor_type = 1; }
  message TensorTypeProto { int32 elem_type = 1; TensorShapeProto shape = 2; }
  message TensorShapeProto { repeated DimensionProto dim = 1; }
  message DimensionProto { int64 dim_value = 1; string dim_param = 2; }
`).root

export type WrittenNode = {
  readonly name: string
  readonly opType: string
  readonly domain: string
  readonly input: readonly string[]
  readonly output: readonly string[]
  /** the value of a whole-numbered one */
  readonly attribute: readonly { readonly name: string; readonly i: { readonly toNumber: () => number } | number }[]
}
export type WrittenValue = {
  readonly name: string
  readonly type: {
    readonly tensorType: { readonly elemType: number; readonly shape: { readonly dim: readonly { readonly dimParam: string }[] } }
  }
}
export type WrittenGraph = {
  readonly domains: readonly string[]
  readonly node: readonly WrittenNode[]
  readonly input: readonly WrittenValue[]
  readonly output: readonly WrittenValue[]
  readonly valueInfo: readonly WrittenValue[]
  readonly initializer: readonly { readonly name: string; readonly dataType: number; readonly rawData: Uint8Array }[]
}

/** The graph in a model's bytes, and the domains of operators that it declares. */
export const readModel = (bytes: Uint8Array): WrittenGraph => {
  const type = schema.lookupType('ModelProto')
  const model = type.toObject(type.decode(bytes), { arrays: true, defaults: true }) as {
    readonly opsetImport: readonly { readonly domain: string }[]
    readonly graph: Omit<WrittenGraph, 'domains'>
  }
  return { ...model.graph, domains: model.opsetImport.map(({ domain }) => domain) }
}

/** Every node of our step graphs has a kernel on the GPU that it is written for, by tables of what the providers have. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { cuda, webgpu } from '../../../accelerated/engines/devices/device.js'
import { checkDevice } from '../../../accelerated/precisions/precision.js'
import { methods } from '../../../accelerated/methods/index.js'
import { findPrecision } from '../../../accelerated/settings/commonSettings.js'
import { kernelFor, parseKernels, type KernelTable } from '../../kernels/operatorKernels.js'
import { placementsOf } from '../../kernels/placements.js'
import { nameOf, objectiveCases, stepCases, writtenStep, type StepCase } from '../../kernels/stepCases.js'
import { signature, typedNodes, type TypedNode } from '../../kernels/typedNodes.js'

const opset = 18
const table = JSON.parse(readFileSync('docs/generate/kernels/cuda.json', 'utf8')) as KernelTable
const cases = [...(await stepCases(['roberta', 'bert', 'deberta-v2', 'llama'])), ...objectiveCases]

/** The operators and types without a CUDA kernel, each once. */
const lacking = (nodes: readonly TypedNode[]): readonly string[] => [
  ...new Set(nodes.filter((node) => kernelFor(table, node, opset) === null).map(signature)),
]

describe('the step graphs for CUDA', () => {
  it('are of all methods', () => expect(new Set(cases.map(({ method }) => method)).size).toBe(methods.length))

  it.each(cases.map((step) => [nameOf(step), step] as const))('have a kernel for every operator and type: %s', async (_, step) => {
    const nodes = typedNodes(await writtenStep(step, cuda.target))
    expect(nodes.length).toBeGreaterThan(100)
    expect(lacking(nodes)).toEqual([])
  })

  it('would have none for the products of int8, which CUDA refuses by name', async () => {
    const int8: StepCase = { family: 'roberta', method: 'lora', precision: 'int8', gradientCheckpointing: false }
    const nodes = typedNodes(await writtenStep(int8, { ...cuda.target, quantizedMatMul: true }))
    expect(lacking(nodes)).toEqual(['com.microsoft.MatMulIntegerToFloat(uint8, int8, float32, float32, uint8)'])
    expect(table.without).toEqual(['com.microsoft.MatMulIntegerToFloat'])
    await expect(checkDevice(findPrecision('int8'), cuda)).rejects.toThrow('int8 on cuda')
  })

  it('have none for a type or an opset that a kernel does not name', () => {
    const node = (inputs: readonly string[]): TypedNode => ({ name: '', domain: '', operator: 'Log', inputs, outputs: inputs })
    expect(kernelFor(table, node(['float32']), opset)).not.toBeNull()
    expect(kernelFor(table, node(['bfloat16']), opset)).toBeNull()
    expect(kernelFor(table, node(['float32']), 12)).toBeNull()
  })
})

describe('the step graphs for WebGPU', () => {
  const { placed } = JSON.parse(readFileSync('docs/generate/kernels/webgpu.json', 'utf8')) as {
    readonly placed: Readonly<Record<string, string>>
  }
  const isFloat = ({ inputs, outputs }: TypedNode): boolean => [...inputs, ...outputs].some((type) => type?.startsWith('float') === true)
  /** The float nodes that are not on the GPU, or were never looked up. */
  const elsewhere = (nodes: readonly TypedNode[]): readonly string[] => [
    ...new Set(nodes.filter((node) => isFloat(node) && placed[signature(node)] !== 'gpu').map(signature)),
  ]

  it.each(cases.map((step) => [nameOf(step), step] as const))('have no float node on the CPU: %s', async (_, step) =>
    expect(elsewhere(typedNodes(await writtenStep(step, webgpu.target)))).toEqual([]),
  )

  it('would have some with LogSoftmax and Size, which are written as other operators', async () => {
    const step: StepCase = { family: 'llama', method: 'lora', precision: 'mixed', gradientCheckpointing: true }
    const nodes = typedNodes(await writtenStep(step, { ...webgpu.target, lacks: [] }))
    expect(elsewhere(nodes)).toEqual(['LogSoftmax(float32)', 'Size(float32)'])
  })

  it('are placed where the runtime says in its log', () => {
    const line = (text: string): string => `2026-01-01 [V:onnxruntime:, session_state.cc:1383 VerifyEachNodeIsAssignedToAnEp]  ${text}`
    const log = [
      line('Node(s) placed on [CPUExecutionProvider]. Number of nodes: 1'),
      line(' Size (Size_1)'),
      'GraphTransformer modified: Add (Add_3)',
      line('Node(s) placed on [WebGpuExecutionProvider]. Number of nodes: 1'),
      line(' Add (a/Add_2)'),
    ]
    expect([...placementsOf(log)]).toEqual([
      ['Size_1', 'cpu'],
      ['a/Add_2', 'gpu'],
    ])
  })
})

describe("reading ONNX Runtime's page of kernels", () => {
  const page = [
    '## Operators implemented by CPUExecutionProvider',
    '|**Operator Domain:** *ai.onnx*||||',
    '|Size|*in* data:**T**<br> *out* size:**T1**|13+|**T** = tensor(float)<br/> **T1** = tensor(int64)|',
    '## Operators implemented by CUDAExecutionProvider',
    '|**Operator Domain:** *ai.onnx*||||',
    '|Norm|*in* X:**T**<br> *out* Y:**T**<br> *out* M:**U**<br><br>or<br><br>*in* X:**T**<br> *in* S:**V**<br> *out* Y:**V**|17+|**T** = tensor(double), tensor(float8e5m2)<br/> **U** = tensor(float)|',
    '|||[1, 16]|**T** = seq(tensor(float16)), tensor(float)<br/> **V** = tensor(bool)|',
    '|**Operator Domain:** *com.microsoft*||||',
    '|Fused|*in* a:**T**<br> *in* axes:**tensor(int64)**<br> *out* b:**T**|1|**T** = tensor(float16)|',
    '## Operators implemented by DmlExecutionProvider',
    '|**Operator Domain:** *ai.onnx*||||',
    '|Size|*in* data:**T**<br> *out* size:**T**|1+|**T** = tensor(float)|',
  ].join('\n')

  it('takes the rows of one provider, with the parameters that belong to each opset', () =>
    expect(parseKernels(page, 'CUDAExecutionProvider')).toEqual([
      { domain: '', operator: 'Norm', from: 17, to: null, inputs: [['float64']], outputs: [['float64'], ['float32']] },
      { domain: '', operator: 'Norm', from: 1, to: 16, inputs: [['float32'], ['bool']], outputs: [['bool']] },
      { domain: 'com.microsoft', operator: 'Fused', from: 1, to: 1, inputs: [['float16'], ['int64']], outputs: [['float16']] },
    ]))

  it('refuses a page without the provider', () =>
    expect(() => parseKernels(page, 'RocmExecutionProvider')).toThrow('expected a section of RocmExecutionProvider'))
})

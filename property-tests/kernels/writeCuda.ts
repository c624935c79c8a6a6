/**
 * Writes docs/generate/kernels/cuda.json: the CUDA kernels of every operator in our step graphs. Its arguments are a page of kernels and the page's
 * source. The page has the form of ONNX Runtime's docs/OperatorKernels.md; operator_kernels.py writes that of the version that we use.
 * `npm run build && node dist/property-tests/kernels/writeCuda.js OperatorKernels.md 'the kernels that … lists'`.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { cuda } from '../../accelerated/engines/devices/device.js'
import { parseKernels, type KernelTable } from './operatorKernels.js'
import { allFamilies, objectiveCases, stepCases, writtenStep } from './stepCases.js'
import { typedNodes } from './typedNodes.js'

const [, , page = '', source = ''] = process.argv
if (page === '' || source === '') throw new Error('writeCuda: expected a page of kernels, and its source')

const used = new Set<string>()
const asked = (domain: string, operator: string): string => `${domain === '' ? '' : `${domain}.`}${operator}`
const int8 = { family: 'roberta', method: 'lora', precision: 'int8', gradientCheckpointing: false } as const
const models = [
  ...[...(await stepCases(allFamilies)), ...objectiveCases].map((step) => () => writtenStep(step, cuda.target)),
  () => writtenStep(int8, { ...cuda.target, quantizedMatMul: true }),
]
for (const model of models) for (const { domain, operator } of typedNodes(await model())) used.add(asked(domain, operator))

const opset = 18
const kernels = parseKernels(readFileSync(page, 'utf8'), 'CUDAExecutionProvider').filter(
  ({ domain, operator, from, to }) => used.has(asked(domain, operator)) && (domain !== '' || (from <= opset && opset <= (to ?? Infinity))),
)
const found = new Set(kernels.map(({ domain, operator }) => asked(domain, operator)))
const table: KernelTable = {
  provider: 'CUDAExecutionProvider',
  source,
  kernels,
  without: [...used].filter((name) => !found.has(name)).sort(),
}
const lines = table.kernels.map((kernel) => `    ${JSON.stringify(kernel)}`).join(',\n')
const { kernels: _, ...others } = table
writeFileSync(
  'docs/generate/kernels/cuda.json',
  `${JSON.stringify({ ...others, kernels: 0 }, null, 2).replace('"kernels": 0', `"kernels": [\n${lines}\n  ]`)}\n`,
)

/** Kernels of an execution provider, from OperatorKernels.md, the page that ONNX Runtime generates from its registered kernels. */
import type { TypedNode } from './typedNodes.js'

/** A kernel for an operator in opsets `from` to `to` (null: no end), with the types that each operand and result may have. */
export type Kernel = {
  readonly domain: string
  readonly operator: string
  readonly from: number
  readonly to: number | null
  readonly inputs: readonly (readonly string[])[]
  readonly outputs: readonly (readonly string[])[]
}

export type KernelTable = {
  readonly provider: string
  /** where the facts are from, and what they hold for */
  readonly source: string
  readonly kernels: readonly Kernel[]
  /** operators that were looked for, and have no kernel */
  readonly without: readonly string[]
}

const ours: Readonly<Record<string, string>> = { float: 'float32', double: 'float64' }
const known = ['float32', 'float64', 'float16', 'bfloat16', 'int64', 'int32', 'int8', 'uint8', 'bool']
const typesIn = (text: string): readonly string[] =>
  [...text.matchAll(/(seq\()?tensor\((\w+)\)/g)]
    .filter(([, sequence]) => sequence === undefined)
    .map(([, , type = '']) => ours[type] ?? type)
    .filter((type) => known.includes(type))

/** `13+`, `[13, 18]` or `13` */
const opsetsOf = (text: string): { readonly from: number; readonly to: number | null } => {
  const [from = NaN, to] = (text.match(/\d+/g) ?? []).map(Number)
  if (Number.isNaN(from)) throw new Error(`operatorKernels: expected opsets, got ${text}`)
  return { from, to: text.endsWith('+') ? null : (to ?? from) }
}

type Parameters = { readonly inputs: readonly string[]; readonly outputs: readonly string[] }
const parametersOf = (text: string): Parameters => {
  const all = [...text.matchAll(/\*(in|out)\* [\w.]+:\*\*([^*]+)\*\*/g)]
  const those = (direction: string): readonly string[] => all.filter(([, of]) => of === direction).map(([, , type = '']) => type)
  return { inputs: those('in'), outputs: those('out') }
}

/** The kernels of an execution provider, for example CUDAExecutionProvider. @throws Error if the page does not list it */
export const parseKernels = (page: string, provider: string): readonly Kernel[] => {
  const part = page.split(/^## Operators implemented by /m).find((section) => section.startsWith(provider))
  if (part === undefined) throw new Error(`operatorKernels: expected a section of ${provider}, got none`)
  const kernels: Kernel[] = []
  let [domain, operator, signatures] = ['', '', [] as readonly Parameters[]]
  for (const line of part.split('\n')) {
    const [, named] = /\*\*Operator Domain:\*\* \*([\w.]+)\*/.exec(line) ?? []
    if (named !== undefined) domain = named === 'ai.onnx' ? '' : named
    const [, name, parameters = '', opsets = '', constraints = ''] = /^\|(\w*)\|([^|]*)\|([^|]*\d[^|]*)\|([^|]*)\|$/.exec(line) ?? []
    if (name === undefined) continue
    if (name !== '') [operator, signatures] = [name, parameters.split('<br><br>or<br><br>').map(parametersOf)]
    const variables = new Map(constraints.split('<br/>').map((text) => [/\*\*(\w+)\*\*/.exec(text)?.[1] ?? '', typesIn(text)] as const))
    const allowed = (type: string): readonly string[] | undefined => (type.includes('(') ? typesIn(type) : variables.get(type))
    // A page lists the parameters of all versions: those of this one have constraints.
    const fitting = signatures.find(({ inputs, outputs }) => [...inputs, ...outputs].every((type) => allowed(type) !== undefined))
    if (fitting === undefined) continue
    const typesOf = (types: readonly string[]) => types.map((type) => allowed(type) ?? [])
    kernels.push({ domain, operator, ...opsetsOf(opsets), inputs: typesOf(fitting.inputs), outputs: typesOf(fitting.outputs) })
  }
  return kernels
}

/** The kernel for a node of a model of this opset; null: none. The last operand of a kernel stands for all that follow. */
export const kernelFor = ({ kernels }: Pick<KernelTable, 'kernels'>, node: TypedNode, opset: number): Kernel | null => {
  const version = node.domain === '' ? opset : 1 // the only one of ONNX Runtime's own operators
  const fits = (allowed: Kernel['inputs'], types: TypedNode['inputs']): boolean =>
    types.every((type, i) => type === null || (allowed[i] ?? allowed.at(-1))?.includes(type) === true)
  return (
    kernels.find(
      ({ domain, operator, from, to, inputs, outputs }) =>
        domain === node.domain &&
        operator === node.operator &&
        from <= version &&
        version <= (to ?? Infinity) &&
        fits(inputs, node.inputs) &&
        fits(outputs, node.outputs),
    ) ?? null
  )
}

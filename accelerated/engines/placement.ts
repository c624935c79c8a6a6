/** Where the nodes of a session ran. ONNX Runtime runs a node that the device has no kernel for on the CPU instead. */

export type Placement = {
  /** nodes with a floating-point operand or result, each counted once */
  readonly floatNodes: number
  /** those of them that ran on the CPU, by operator */
  readonly onCpu: Readonly<Record<string, number>>
}

/** An event of ONNX Runtime's profile, as far as it is read. */
type ProfileEvent = {
  readonly cat?: string
  readonly name?: string
  readonly args?: {
    readonly op_name?: string
    readonly provider?: string
    /** a list of `{ type: shape }` */
    readonly input_type_shape?: unknown
    readonly output_type_shape?: unknown
  }
}

const cpuProvider = 'CPUExecutionProvider'
const floatTypes: readonly string[] = ['float', 'double', 'float16', 'bfloat16']

/** From the profile that ONNX Runtime writes of a run, a JSON text. @throws Error if it is none */
export const parsePlacement = (profile: string): Placement => {
  const events: unknown = JSON.parse(profile)
  if (!Array.isArray(events)) throw new Error('profile: expected a list of events, got another value')
  const seen = new Set<string>()
  const onCpu: Record<string, number> = {}
  for (const { cat, name = '', args } of events as readonly ProfileEvent[]) {
    if (cat !== 'Node' || args?.provider === undefined || seen.has(name)) continue
    if (![args.input_type_shape, args.output_type_shape].some(hasFloat)) continue
    seen.add(name)
    const { op_name: operator = '' } = args
    if (args.provider === cpuProvider) onCpu[operator] = (onCpu[operator] ?? 0) + 1
  }
  return { floatNodes: seen.size, onCpu }
}

const hasFloat = (types: unknown): boolean =>
  Array.isArray(types) &&
  types.some((type: unknown) => typeof type === 'object' && type !== null && Object.keys(type).some((name) => floatTypes.includes(name)))

export const countOnCpu = ({ onCpu }: Pick<Placement, 'onCpu'>): number => Object.values(onCpu).reduce((sum, count) => sum + count, 0)

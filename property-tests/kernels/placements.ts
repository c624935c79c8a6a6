/** Where the nodes of a session are, from what ONNX Runtime says of itself in its log. */

export type Placements = ReadonlyMap<string, 'gpu' | 'cpu'>

/** By node name. `Node(s) placed on [CPUExecutionProvider]` begins a list of `OPERATOR (NAME)`. */
export const placementsOf = (lines: readonly string[]): Placements => {
  const places = new Map<string, 'gpu' | 'cpu'>()
  let place: 'gpu' | 'cpu' | null = null
  for (const line of lines) {
    if (!line.includes('VerifyEachNodeIsAssignedToAnEp')) continue
    const [, provider] = /placed on \[(\w+)\]/.exec(line) ?? []
    if (provider !== undefined) place = provider === 'CPUExecutionProvider' ? 'cpu' : 'gpu'
    const [, name] = /\s\w+ \((.+)\)\s*$/.exec(line) ?? []
    if (provider === undefined && name !== undefined && place !== null) places.set(name, place)
  }
  return places
}

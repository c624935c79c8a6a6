/** What a run reports of the nodes that its device left to the CPU: once, and again if a later graph leaves others. */
import { countOnCpu, type Placement } from '../../accelerated/engines/placement.js'

/** onCpu: float nodes on the CPU, by operator · floatNodes: all float nodes of the graph; null: ONNX Runtime did not report them */
export type PlacementEvent = {
  readonly kind: 'placement'
  readonly device: string
  readonly floatNodes: number | null
  readonly onCpu: Placement['onCpu']
}

export type DevicePlacement = {
  /** for the engine's settings */
  readonly onPlacement: (placement: Placement | null) => void
  /** what is new since the last call */
  readonly news: () => readonly PlacementEvent[]
}

export const devicePlacement = (device: string): DevicePlacement => {
  const reported = new Set<string>()
  let events: readonly PlacementEvent[] = []
  return {
    onPlacement: (placement) => {
      const onCpu = placement?.onCpu ?? {}
      const key = placement === null ? 'unknown' : operatorsText(onCpu)
      if (reported.has(key) || (key === '' && reported.size > 0)) return
      reported.add(key)
      events = [...events, { kind: 'placement', device, floatNodes: placement?.floatNodes ?? null, onCpu }]
    },
    news: () => {
      const news = events
      events = []
      return news
    },
  }
}

/** `Erf 2, LogSoftmax 1` */
const operatorsText = (onCpu: Placement['onCpu']): string =>
  Object.entries(onCpu)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([operator, count]) => `${operator} ${count}`)
    .join(', ')

/** Takes one line of where a device's nodes ran. warns: some ran on the CPU, or nobody knows */
export type PlacementReport = (line: string, warns: boolean) => void

export const placementWarns = (event: PlacementEvent): boolean => event.floatNodes === null || countOnCpu(event) > 0

/** One line for people. */
export const placementLine = ({ device, floatNodes, onCpu }: PlacementEvent): string => {
  if (floatNodes === null) return `${device}: ONNX Runtime did not report where its nodes ran`
  const count = countOnCpu({ onCpu })
  if (count === 0) return `${device}: all ${floatNodes} float nodes of the graph run there`
  return `${device}: ${count} of ${floatNodes} float nodes run on the CPU: ${operatorsText(onCpu)}`
}

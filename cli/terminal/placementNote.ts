/** How a terminal shows where a device's nodes ran: as a warning if some ran on the CPU. */
import type { PlacementReport } from '../../finetuning/runs/devicePlacement.js'
import type { Terminal } from './output.js'

export const placementNote =
  (terminal: Pick<Terminal, 'note' | 'warn'>): PlacementReport =>
  (line, warns) =>
    warns ? terminal.warn(line) : terminal.note(line)

/** A device that is in no release, with an engine of its own: it counts what it runs. This is all that a new device's one file contains. */
import { type Device, cpu } from '../../../accelerated/engines/devices/device.js'

/** Sessions opened and runs made since the process started. */
export const beads = { sessions: 0, runs: 0 }

export const abacus: Device = {
  name: 'abacus',
  target: { fusedMatMul: false },
  engine: (settings) => ({
    open: async (outputs, weights, options) => {
      beads.sessions += 1
      const { inputs, run, release } = await cpu.engine(settings).open(outputs, weights, options)
      return {
        inputs,
        release,
        run: (feeds) => {
          beads.runs += 1
          return run(feeds)
        },
      }
    },
  }),
  tolerances: { float32: { relative: 1e-3, because: 'beads stick' } },
  remedy: async () => 'buy one',
  automatic: 2,
}

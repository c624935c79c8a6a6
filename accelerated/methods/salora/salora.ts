/** SaLoRA: low-rank adapters whose triplets carry gates; the task's loss, equation (9)'s orthogonality and equation (12)'s constraint. */
import { SettingsError } from '../../errors/settingsError.js'
import { matrixOfWeight, mergeProduct } from '../lowRank.js'
import type { Method } from '../method.js'
import { gateSchedule, stepsForWindow } from './gateSchedule.js'
import type { SaloraPhase } from './phase.js'
import { saloraPhases } from './phases.js'
import { saloraReporting } from './reporting.js'
import { saloraSettings, type SaloraSettings } from './settings.js'
import { saloraTraining } from './training.js'

export const salora: Method<SaloraSettings, SaloraPhase> = {
  name: 'salora',
  summary: 'structure-aware low-rank adaptation: finds the rank of each matrix within an exact budget',
  settings: saloraSettings,
  // The paper to the letter: appendix B's window, equation (12)'s sum, Algorithm 1's plain steps, and section 3.5's ĝ > 0, whose triplets stay as
  // they are.
  presets: { paper: { gateStart: 0.2, gateEnd: 0.5, orthogonality: 'sum', control: 'paper', retain: 'paper', gateAfter: 'binary' } },
  check: ({ gateStart, gateEnd, maxSteps }, steps) => {
    if (gateStart >= gateEnd) throw new SettingsError('gateStart', 'a fraction below gateEnd', String(gateStart))
    if (steps === null) return
    const { start, end } = gateSchedule({ gateStart, gateEnd }, steps)
    if (end > start) return
    const window = `between ${gateStart} and ${gateEnd} of the run`
    throw new SettingsError(
      maxSteps === null ? 'epochs' : 'maxSteps',
      `more steps, so that salora can sample gates in one of them (${window}; ${stepsForWindow({ gateStart, gateEnd }, 1)} are enough)`,
      `${steps} ${steps === 1 ? 'step' : 'steps'}`,
    )
  },
  train: saloraTraining,
  phases: saloraPhases,
  reporting: saloraReporting,
  export: {
    format: 'peftLora', // the result is a low-rank adapter like any other
    merge: ({ matrices }, { loraAlpha, rank }, name, tensor, trained) => {
      const matrix = matrixOfWeight(matrices, name)
      if (matrix === undefined) return null
      return mergeProduct(tensor(), trained(`${matrix.name}.A`), trained(`${matrix.name}.B`), matrix, loraAlpha / rank)
    },
  },
}

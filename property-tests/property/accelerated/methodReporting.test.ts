/** What a method reports of its phases: announcements, events and columns, at the steps of a small run. */
import { describe, expect, it } from 'vitest'
import { adalora } from '../../../accelerated/methods/adalora/adalora.js'
import type { AdaloraPhase } from '../../../accelerated/methods/adalora/phase.js'
import type { AdaloraSettings } from '../../../accelerated/methods/adalora/settings.js'
import { salora } from '../../../accelerated/methods/salora/salora.js'
import type { SaloraPhase } from '../../../accelerated/methods/salora/phase.js'
import type { SaloraSettings } from '../../../accelerated/methods/salora/settings.js'
import { flatten, zeros } from '../../../accelerated/parameters/vectors.js'
import { parameterLayout } from '../../../accelerated/parameters/layout.js'
import { resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import type { SettingsInput } from '../../../accelerated/settings/settingsInput.js'

const progress = { step: 0, steps: 100 }

describe('SaLoRA reports', () => {
  const settingsOf = (change: SettingsInput): SaloraSettings =>
    resolveSettings({ method: 'salora', gateStart: 0.25, gateEnd: 0.75, ...change }) as unknown as SaloraSettings
  const phaseOf = (stage: SaloraPhase['stage']) => ({ stage, matrices: [] }) as unknown as SaloraPhase

  it.each<readonly [SaloraPhase['stage'], SettingsInput, string | null]>([
    ['before', {}, 'gates are sampled in steps 26 to 75'],
    ['gated', {}, 'gates are sampled in steps 26 to 75'],
    ['after', {}, null],
    ['before', { retain: 'magnitude' }, 'the largest triplets are retained after step 75'],
  ])('the phases to come (%s, %j)', (stage, change, line) => {
    expect(salora.reporting?.announce?.(phaseOf(stage), settingsOf(change), progress)).toBe(line)
  })

  it.each(['before', 'gated', 'after'] as const)('λ in the gated phase alone (%s)', (stage) => {
    const parameter = (name: string): readonly number[] => {
      if (stage !== 'gated') throw new Error(`expected no parameter, got ${name}`)
      return [0.5]
    }
    const measures = salora.reporting?.measures?.(phaseOf(stage), () => undefined, parameter)
    expect(measures?.columns['lambda']).toBe(stage === 'gated' ? 0.5 : null)
  })
})

describe('AdaLoRA reports', () => {
  const settings = resolveSettings({
    ...{ method: 'adalora', initR: 2, targetR: 1, tinitRatio: 0.2, tfinalRatio: 0.3, deltaT: 1 },
  }) as unknown as AdaloraSettings
  const start: AdaloraPhase = { matrices: [{ name: 'a', d: 2, k: 2, r: 2 }], steps: null, fixed: null }
  const layout = parameterLayout(adalora.train.tensors(start, settings))
  const parameters = flatten(layout, ({ name }) => (name === 'a.E' ? [0, 3] : undefined), 'float64')
  const empty = zeros(layout.size, 'float64')
  const context = {
    vectors: { parameters, firstMoment: empty, secondMoment: empty, memory: {} },
    buildLayout: () => layout,
    dtype: 'float64' as const,
  }
  const advance = (phase: AdaloraPhase, step: number) => adalora.phases.advance?.(phase, settings, { step, steps: 100 }, context) ?? null

  it('the steps of the pruning, until the ranks are fixed', () => {
    expect(adalora.reporting?.announce?.(start, settings, progress)).toMatch(/^triplets are pruned in steps 22 to 71, from rank 2 to 1/)
    expect(adalora.reporting?.announce?.({ ...start, fixed: { step: 71, kept: [[false, true]] } }, settings, progress)).toBeNull()
  })

  it('the plan once, and the ranks as they are fixed', () => {
    const planned = advance(start, 0)
    expect([planned?.phase.steps, planned?.event]).toEqual([100, null])
    expect(advance(planned?.phase ?? start, 1)).toBeNull()
    expect(advance(planned?.phase ?? start, 71)?.event).toEqual({
      name: 'fixed',
      line: '1 of 2 triplets remain for the rest of the run',
      facts: { triplets: 1, ranks: { a: 1 } },
    })
  })
})

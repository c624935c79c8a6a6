/** A step as training runs it: its parts weigh as much as their examples, and no two parts of a run have the same noise. */
import { describe, expect, it } from 'vitest'
import type { LabeledExample } from '../../accelerated/objectives/sequenceClassification.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import type { Objective } from '../../accelerated/objectives/objective.js'
import type { Session } from '../../accelerated/engines/engine.js'
import { openPhaseSessions } from '../../accelerated/training/phaseSessions.js'
import { trainStep } from '../../accelerated/training/trainStep.js'
import { buildAssembly, phaseIn, buildInitialState, openRuntime } from '../../evaluation/agreement/acceleratedSide.js'
import { headOutputs, namedParts, toExamples } from '../../evaluation/agreement/convert.js'
import { drawModel } from '../../evaluation/agreement/drawModel.js'
import { startFrom, trainingStep } from '../../reference/index.js'
import { assertClose } from '../support/assertClose.js'
import { someOptions } from './modelOptions.js'

const sizes = { batch: 4, sequence: 8, tokens: 32 }

/** A small SaLoRA run before its gates open, whose steps have `steps` parts. */
const runOf = (dropout: 0 | 0.5, gradientAccumulationSteps: number) => {
  const model = drawModel(someOptions({ dropout, lengths: [2, 4, 1, 3], clip: null }))
  const state = buildInitialState(model, 'open', 'float64')
  const plain = buildAssembly(model, 'float64')
  const assembly = { ...plain, settings: { ...plain.settings, gradientAccumulationSteps } }
  const objective = sequenceClassification(plain.model, headOutputs(model.config))
  const open = () => openPhaseSessions(assembly, phaseIn(state), openRuntime({ device: 'cpu', precision: 'float64' }), sizes)
  return { model, state, assembly, objective, examples: toExamples(model.batch), open }
}
const context = { progress: { step: 0, steps: 10 }, learningRate: 1e-3, spare: null }

describe('a step in parts', () => {
  it.each([[[1, 3]], [[3, 1]], [[1, 1, 2]]])(
    'of %j examples has the loss of the reference on all examples, and the state of a step in one part',
    async (counts) => {
      const { model, state, assembly, objective, examples, open } = runOf(0, counts.length)
      const parts = counts.map((count, i) => {
        const start = counts.slice(0, i).reduce((a, b) => a + b, 0)
        return examples.slice(start, start + count)
      })
      const sessions = await open()
      const inParts = await trainStep({ ...context, assembly, objective }, sessions, state, parts).finally(sessions.release)
      const whole = runOf(0, 1)
      const one = await whole.open()
      const atOnce = await trainStep({ ...context, assembly: whole.assembly, objective: whole.objective }, one, whole.state, [
        examples,
      ]).finally(one.release)

      const noise = model.noiseAt(model.parameters.adapters, 0)
      const step = trainingStep(model.config, model.settings, model.base)
      const [, report] = step(startFrom(model.parameters), model.batch, noise, { ...model.control, gating: 'open' })
      assertClose([inParts.loss, inParts.taskLoss], [report.loss, report.taskLoss], { relative: 1e-9, name: 'losses' })
      for (const vector of ['firstMoment', 'secondMoment', 'parameters'] as const)
        for (const [name, numbers] of namedParts(sessions.layout, inParts.state[vector]))
          assertClose(numbers, namedParts(one.layout, atOnce.state[vector]).get(name) ?? [], {
            relative: 1e-9,
            absolute: 1e-15,
            name: `${vector} of ${name}`,
          })
      expect([inParts.tokens, inParts.state.step]).toEqual([10, 1])
    },
  )
})

describe('the clipping of a step', () => {
  it('changes nothing if the norm of the gradient is below the bound', async () => {
    const { model, state, assembly, objective, examples } = runOf(0, 1)
    const stateWith = async (maxGradNorm: number | null) => {
      const clipped = { ...assembly, settings: { ...assembly.settings, maxGradNorm } }
      const sessions = await openPhaseSessions(clipped, phaseIn(state), openRuntime({ device: 'cpu', precision: 'float64' }), sizes)
      const start = buildInitialState(model, 'open', 'float64') // a step overwrites its moments
      return trainStep({ ...context, assembly: clipped, objective }, sessions, start, [examples]).finally(sessions.release)
    }
    const [free, wide, narrow] = [await stateWith(null), await stateWith(1e6), await stateWith(1e-3)]
    const norm = Number(free.results['gradientNorm']?.[0])
    expect(norm).toBeGreaterThan(1e-3)
    const close = { relative: 1e-12, absolute: 1e-15 }
    assertClose(wide.state.firstMoment, free.state.firstMoment, { ...close, name: 'gradient below the bound' })
    const scaled = free.state.firstMoment.map((x) => (x * 1e-3) / (norm + 1e-6))
    assertClose(narrow.state.firstMoment, scaled, { relative: 1e-9, absolute: 1e-15, name: 'gradient above the bound' })
  })
})

describe('the noise of a step in parts', () => {
  it('is drawn anew for each part of each step: masks and what the objective draws', async () => {
    const { state, assembly, objective, examples, open } = runOf(0.5, 3)
    const sessions = await open()
    const offsets: string[] = []
    const recording = (session: Session): Session => ({
      ...session,
      run: async (feeds, into) => {
        offsets.push(sessions.sites.map(({ site }) => String(feeds[`dropoutOffset(${site})`]?.data[0])).join())
        return session.run(feeds, into)
      },
    })
    const draws: number[] = []
    const drawing: Objective<LabeledExample> = {
      ...objective,
      prepare: (part, draw) => {
        draws.push(draw.step)
        return objective.prepare(part, draw)
      },
    }
    const recorded = { ...sessions, update: recording(sessions.update), add: sessions.add === null ? null : recording(sessions.add) }
    const same = examples.slice(0, 1)
    let now = state
    for (let step = 0; step < 4; step++) {
      const progress = { step, steps: 10 }
      now = (await trainStep({ ...context, progress, assembly, objective: drawing }, recorded, now, [same, same, same])).state
    }
    await sessions.release()
    expect(sessions.sites.length).toBeGreaterThan(3)
    expect([offsets.length, new Set(offsets).size]).toEqual([12, 12])
    expect([draws.length, new Set(draws).size]).toEqual([12, 12])
  })
})

/** A new classifier begins as a linear probe; on a sentence encoder it reads embeddings, in every format. */
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { readSafetensors, readTensor } from '../../accelerated/checkpoints/safetensors/safetensors.js'
import { strengths } from '../../accelerated/probe/linearModel.js'
import { fitTemperature } from '../../finetuning/metrics/confidence.js'
import { finetuneJob, nodeMachine } from '../../finetuning/nodeMachine.js'
import { prepareRun, type PreparedRun } from '../../finetuning/recipe.js'
import { describeRemoteRun, parseRemoteOptions } from '../../finetuning/run/remoteRun.js'
import { resolveRunOptions, type RunOptions, type RunResult } from '../../finetuning/run/run.js'
import { fitLinearProbe, probeObjective, tensor, toOneHot, type Tensor } from '../../reference/index.js'
import { assertClose } from '../support/assertClose.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { jsonLines } from '../support/jsonLines.js'
import { saloraIn } from './inProcess.js'
import { tinyConfig, writeTinyModel } from './tinyModel.js'
import { toyFile, toyRows } from './toyTask.js'

const { folder: cwd, write } = temporaryFolder('probe')
const rows = toyRows(30)

const run = async (...args: readonly string[]): Promise<string> => {
  const { code, stdout, stderr } = await saloraIn([...args, ...(args[0] === 'export' ? [] : ['--device', 'cpu']), '--quiet', '--json'], {
    cwd,
  })
  expect([code, stderr.replace(/^warning: .*\n/gm, '')]).toEqual([0, ''])
  return stdout
}
/** One step of a rate that changes nothing. */
const still = ['--method', 'lora', '--max-steps', '1', '--learning-rate', '1e-30', '--max-length', '16', '--dropout', '0']
const train = async (model: string, output: string, ...more: readonly string[]): Promise<RunResult> =>
  JSON.parse(
    await run('train', '--model', model, '--task', 'toy.tsv', '--eval-data', 'toy.tsv', '--output', output, ...still, ...more),
  ) as RunResult

beforeAll(async () => {
  write('toy.tsv', toyFile(30))
  write('pairs.csv', ['a,b', ...rows.map(({ text }) => `${text},${text}`)].join('\n'))
  await writeTinyModel(join(cwd, 'plain'))
  await writeTinyModel(join(cwd, 'sentences'), { 'config.json': JSON.stringify({ ...tinyConfig, architectures: ['RobertaModel'] }) })
  await mkdir(join(cwd, 'sentences/1_Pooling'))
  await writeFile(join(cwd, 'sentences/1_Pooling/config.json'), '{"pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true}')
})

const headOf = async (adapter: string) => {
  const { tensors } = await readSafetensors(join(cwd, adapter, 'adapter_model.safetensors'))
  const read = async (name: string): Promise<number[]> => {
    const entry = tensors.get(`base_model.model.classifier.${name}`)
    return entry === undefined ? [] : Array.from(await readTensor(entry))
  }
  return { weight: await read('weight'), bias: await read('bias') }
}

type Line = { readonly embedding: readonly number[]; readonly scores: Readonly<Record<string, number>> }
const predictions = async (...of: readonly string[]): Promise<readonly Line[]> => {
  const input = rows.map(({ text }) => text).join('\n')
  const { code, stdout, stderr } = await saloraIn(['predict', ...of, '--device', 'cpu', '--quiet'], { cwd, input })
  expect([code, stderr]).toEqual([0, ''])
  return jsonLines<Line>(stdout)
}

describe('on a sentence encoder', () => {
  let embeddings: readonly (readonly number[])[] = []
  beforeAll(async () => {
    await run(...'train --model sentences --task pairs.csv --problem-type pairs --text a --text-pair b --output embed'.split(' '), ...still)
    embeddings = (await predictions('--run', 'embed')).map(({ embedding }) => embedding)
    await train('sentences', 'probed')
  })

  /** How far the head of a run is from the minimum on the embeddings for each strength, as a share of it. P: the targets, [rows, 2] */
  const excessOf = async (adapter: string, P: Tensor): Promise<readonly number[]> => {
    const { weight, bias } = await headOf(adapter)
    const mean = embeddings[0]!.map((_, j) => embeddings.reduce((sum, row) => sum + row[j]!, 0) / rows.length)
    const centered = embeddings.map((row) => row.map((x, j) => x - mean[j]!))
    const scale = Math.sqrt(centered.flat().reduce((sum, x) => sum + x * x, 0) / rows.length)
    const X = tensor(
      [rows.length, 16],
      centered.flat().map((x) => x / scale),
    )
    const ours = {
      W: tensor(
        [2, 16],
        weight.map((w) => w * scale),
      ),
      b: tensor(
        [2],
        bias.map((b, c) => b + mean.reduce((sum, m, j) => sum + m * weight[c * 16 + j]!, 0)),
      ),
    }
    return strengths.map((C) => {
      const least = probeObjective(X, P, C, fitLinearProbe(X, P, C))
      return (probeObjective(X, P, C, ours) - least) / least
    })
  }

  it("the head is the reference's minimum on the embeddings that an embedding run gives, for one of the strengths", async () => {
    const labels = rows.map(({ label }) => (label === 'good' ? 1 : 0))
    const excess = await excessOf('probed/adapter', toOneHot(labels, 2))
    expect(excess.filter((one) => one < 1e-3)).toHaveLength(1)
  })

  it('the scores that a run predicts are labels of another run: its head is the minimum on these probabilities', async () => {
    const input = rows.map(({ text }) => text).join('\n')
    const { stdout } = await saloraIn(['predict', '--run', 'probed', '--keep-texts', '--device', 'cpu', '--quiet'], { cwd, input })
    write('answers.jsonl', stdout)
    const answers = jsonLines<Line>(stdout)
    const data = ['--task', 'answers.jsonl', '--label', 'scores', '--eval-data', 'answers.jsonl']
    await run('train', '--model', 'sentences', ...data, '--output', 'student', ...still)
    const P = tensor(
      [rows.length, 2],
      answers.flatMap(({ scores }) => [scores['bad'] ?? NaN, scores['good'] ?? NaN]),
    )
    const excess = await excessOf('student/adapter', P)
    expect(Math.min(...excess)).toBeLessThan(1e-3)
    expect(Math.min(...(await excessOf('probed/adapter', P)))).toBeGreaterThan(1e-3)
  })

  it('predictions are its softmax on the embeddings', async () => {
    const { weight, bias } = await headOf('probed/adapter')
    const expected = embeddings.map((row) => {
      const z = bias.map((b, c) => row.reduce((sum, x, j) => sum + x * weight[c * 16 + j]!, b))
      return 1 / (1 + Math.exp(z[0]! - z[1]!))
    })
    assertClose(
      (await predictions('--run', 'probed')).map(({ scores }) => scores['good'] ?? NaN),
      expected,
      { relative: 1e-4, absolute: 1e-5 },
    )
  })

  it('predicts by the names of classes alone: the softmax of 20 times the cosine of text and name, and evaluates so', async () => {
    const names = ['a bad film', 'good and fine']
    const embed = async (input: string): Promise<readonly (readonly number[])[]> => {
      const { stdout } = await saloraIn(['predict', '--run', 'embed', '--device', 'cpu', '--quiet'], { cwd, input })
      return jsonLines<Line>(stdout).map(({ embedding }) => embedding)
    }
    const ofNames = await embed(names.join('\n'))
    const cosines = embeddings.map((row) => ofNames.map((name) => row.reduce((sum, x, i) => sum + x * name[i]!, 0)))
    assertClose(
      (await predictions('--model', 'sentences', '--labels', 'a bad film,good and fine')).map(
        ({ scores }) => scores['good and fine'] ?? NaN,
      ),
      cosines.map(([bad = NaN, good = NaN]) => 1 / (1 + Math.exp(20 * (bad - good)))),
      { relative: 1e-4, absolute: 1e-5 },
    )
    const args = '--model sentences --labels bad,good --task toy.tsv'.split(' ')
    const scored = JSON.parse(await run('evaluate', ...args)) as { readonly scores: { readonly accuracy: number } }
    const labels = (await predictions('--model', 'sentences', '--labels', 'bad,good')).map(({ scores }) =>
      scores['good']! > 0.5 ? 'good' : 'bad',
    )
    expect(scored.scores.accuracy).toBeCloseTo(labels.filter((label, i) => label === rows[i]?.label).length / rows.length, 12)
  })

  it.each([
    [['--model', 'sentences', '--labels', 'one'], '--labels: expected the names of two classes or more, each once, got one\n'],
    [['--model', 'sentences', '--labels', 'a,a'], '--labels: expected the names of two classes or more, each once, got a,a\n'],
    [
      ['--model', 'plain', '--labels', 'a,b'],
      'plain: expected a classification head (classifier.dense.weight [16, 16]), as no --adapter is given, got none in the model\n',
    ],
  ])('by names that are too few, equal, or of another model, it refuses %j in one line', async (args, line) => {
    const { code, stderr } = await saloraIn(['predict', ...args, '--device', 'cpu', '--quiet'], { cwd, input: 'a text\n' })
    expect([code, stderr.slice(-line.length)]).toEqual([expect.any(Number), line])
    expect(code).not.toBe(0)
  })

  it('the adapter is of the bare encoder, and says what its head reads', async () => {
    const json = async (name: string): Promise<object> => JSON.parse(await readFile(join(cwd, 'probed/adapter', name), 'utf8')) as object
    expect(await json('adapter_config.json')).toMatchObject({ task_type: 'FEATURE_EXTRACTION', modules_to_save: null })
    expect(await json('salora.json')).toMatchObject({ pooling: 'mean', problemType: 'single_label_classification' })
    expect(await readFile(join(cwd, 'probed/adapter/README.md'), 'utf8')).toContain('torch.nn.functional.normalize(means)')
  })

  it('merged and transformers.js exports answer the same, also where the folder is opened again', async () => {
    const expected = (await predictions('--run', 'probed')).map(({ scores }) => scores['good'])
    for (const format of ['merged', 'transformers.js']) {
      const { comparison } = JSON.parse(await run('export', '--run', 'probed', '--format', format, '--output', format)) as {
        readonly comparison: { readonly largestLogitDifference: number }
      }
      expect(comparison.largestLogitDifference).toBeLessThan(1e-5)
    }
    expect((await readdir(join(cwd, 'merged'))).sort()).toEqual(
      expect.arrayContaining(['1_Pooling', '2_Normalize', '3_Dense', 'modules.json']),
    )
    const again = (await predictions('--model', 'merged')).map(({ scores }) => scores['good'])
    again.forEach((score, i) => expect(score).toBeCloseTo(expected[i] ?? NaN, 5))
  })
})

describe('the start of a run', () => {
  it('is evaluated and may be the best step; --head transformers, and any other model, draw the head at random', async () => {
    const probed = await train('sentences', 'start', '--max-steps', '4', '--eval-steps', '2', '--learning-rate', '3')
    expect(probed.best?.step).toBe(0) // steps of this rate destroy it
    expect(probed.best?.scores['accuracy']).toBeGreaterThan(0.9)
    for (const [model, ...more] of [['sentences', '--head', 'transformers'], ['plain']] as const) {
      const drawn = await train(model, `drawn-${model}`, ...more)
      expect(drawn.best?.step).toBe(1)
      expect(drawn.last.scores['loss']).toBeGreaterThan(2 * Number(probed.best?.scores['loss']))
      const { tensors } = await readSafetensors(join(cwd, `drawn-${model}/adapter/adapter_model.safetensors`))
      expect([...tensors.keys()].filter((name) => name.includes('classifier')).length).toBe(4) // as transformers has it
    }
  })

  it('is short with few rows, which are all trained on and scored by folds; too few choose no step', async () => {
    const few = ['train', '--model', 'sentences', '--task', 'toy.tsv', '--max-length', '16', '--method', 'lora', '--dropout', '0']
    const { steps, kept, examples, folds, ...result } = JSON.parse(await run(...few, '--output', 'short')) as RunResult
    expect([steps, kept?.which, examples.training, examples.evaluation, folds]).toEqual([46, 'last', 30, 30, 3]) // 40 + 30 / 5
    expect(JSON.parse(await readFile(join(cwd, 'short/result.json'), 'utf8'))).not.toHaveProperty('calibration') // too few
    const card = await readFile(join(cwd, 'short/adapter/README.md'), 'utf8')
    expect(card).toContain('evaluated on the same rows by 3 folds')
    // the same runs one by one, each with a fold held out
    const parts: RunResult[] = []
    for (let index = 0; index < 3; index++) {
      const settings = { method: 'lora', maxLength: 16, dropout: 0, device: 'cpu', maxSteps: 46, evalSteps: 23 } as const
      const task = { task: join(cwd, 'toy.tsv'), fold: { index, of: 3 } }
      const options = { model: join(cwd, 'sentences'), task, output: join(cwd, `fold-${index}`), settings }
      for await (const event of finetuneJob(options, new AbortController().signal)) if (event.kind === 'result') parts.push(event.result)
    }
    for (const name of ['accuracy', 'loss'])
      expect(result.last.scores[name]).toBeCloseTo(
        parts.reduce((sum, { last, examples: { evaluation } }) => sum + last.scores[name]! * evaluation, 0) / 30,
        12,
      )
    const { stdout, stderr } = await saloraIn([...few, '--output', 'none-held', '--eval-share', '0', '--device', 'cpu'], { cwd })
    expect(stderr).toContain('30 training examples, none held out')
    expect(stdout).toMatch(/^trained 46 steps\n\nscores +none: no row was held out\n.*\nadapter .*\(step 46, the last\)\n/s)
    expect(await readFile(join(cwd, 'none-held/adapter/README.md'), 'utf8')).toContain('None: no row was held out.')
    const share = JSON.parse(await run(...few, '--output', 'share', '--eval-share', '0.1')) as RunResult
    expect([share.steps, share.kept?.which, share.examples.training, share.folds]).toEqual([45, 'last', 26, undefined]) // 40 + ⌊26 / 5⌋
  })

  it('is calibrated on its folds: the head of an uncalibrated run divided by the root of the temperature of their answers', async () => {
    write('sixty.tsv', toyFile(60))
    const args = '--model sentences --task sixty.tsv --max-length 16 --max-steps 20 --eval-steps 10 --no-load-best-model-at-end'.split(' ')
    const { calibration } = JSON.parse(await run('train', ...args, '--eval-folds', '5', '--output', 'calibrated')) as RunResult
    await run('train', ...args, '--eval-data', 'sixty.tsv', '--output', 'raw') // trains on the same rows
    const { answers } = JSON.parse(await readFile(join(cwd, 'calibrated/folds.json'), 'utf8')) as {
      readonly answers: readonly { readonly step: number; readonly rows: readonly (readonly number[])[] }[]
    }
    const logits = answers.find(({ step }) => step === 20)?.rows ?? []
    const temperature = Math.sqrt(fitTemperature({ logits, labels: toyRows(60).map(({ label }) => (label === 'good' ? 1 : 0)) }))
    expect([calibration?.rows, calibration?.temperature]).toEqual([60, temperature])
    expect(Math.abs(temperature - 1)).toBeGreaterThan(0.005)
    const [scaled, raw] = [await headOf('calibrated/adapter'), await headOf('raw/adapter')]
    for (const part of ['weight', 'bias'] as const)
      assertClose(
        scaled[part].map((w) => w * temperature),
        raw[part],
        { relative: 1e-5, absolute: 1e-7 },
      )
  })

  it('draws the texts of a class together where rows are few: as --set contrast=1, and not as 0', async () => {
    const args = '--model sentences --task toy.tsv --max-length 16 --max-steps 4 --eval-share 0'.split(' ')
    const bits = async (name: string, ...more: readonly string[]): Promise<string> => {
      await run('train', ...args, '--output', name, ...more)
      return (await readFile(join(cwd, name, 'adapter/adapter_model.safetensors'))).toString('hex')
    }
    const usual = await bits('contrast')
    expect(await bits('contrast-1', '--set', 'contrast=1')).toBe(usual)
    expect(await bits('contrast-0', '--set', 'contrast=0')).not.toBe(usual)
  })

  it.each([
    [['--model', 'sentences', '--task', 'many.tsv'], 1e-3],
    [['--model', 'sentences', '--task', 'many.tsv', '--head', 'transformers'], 4e-4],
    [['--model', 'plain', '--task', 'many.tsv'], 4e-4],
    [['--model', 'sentences', '--task', 'fewer.tsv'], 4e-4],
  ] as const)('a small sentence encoder learns faster from 500 training rows on: %j at %d', async (args, rate) => {
    write('many.tsv', toyFile(500))
    write('fewer.tsv', toyFile(499))
    const output = `rate-${args.length}-${args[1]}-${args[3]}`
    await run('train', ...args, '--eval-data', 'toy.tsv', '--output', output, '--max-length', '16', '--max-steps', '1')
    const { settings } = JSON.parse(await readFile(join(cwd, output, 'config.json'), 'utf8')) as { readonly settings: object }
    expect(settings).toMatchObject({ method: 'lora', learningRate: rate })
  })

  it('is not calibrated on soft labels, whose most probable class is a guess', async () => {
    const soft = toyRows(60).map(({ text, label }) => ({
      text,
      label: label === 'good' ? { good: 0.9, bad: 0.1 } : { good: 0.2, bad: 0.8 },
    }))
    write('soft.jsonl', soft.map((row) => JSON.stringify(row)).join('\n'))
    const args = '--model sentences --task soft.jsonl --max-length 16 --max-steps 2 --eval-folds 2 --output uncalibrated'.split(' ')
    const result = JSON.parse(await run('train', ...args)) as RunResult
    expect([result.folds, result.calibration]).toEqual([2, undefined])
  })

  it('resumes with the answers of its folds, in the same bits, and gives them again if their file is lost', async () => {
    const few = ['train', '--model', 'sentences', '--task', 'toy.tsv', '--max-length', '16', '--save-steps', '10', '--output']
    await run(...few, 'whole')
    const bits = async (name: string): Promise<string> =>
      (await readFile(join(cwd, name, 'adapter/adapter_model.safetensors'))).toString('hex')
    for (const lost of [false, true]) {
      const output = `again-${lost}`
      await cp(join(cwd, 'whole'), join(cwd, output), { recursive: true })
      for (const file of ['result.json', 'adapter/adapter_model.safetensors', ...(lost ? ['folds.json'] : [])])
        await rm(join(cwd, output, file))
      const [newest] = (await readdir(join(cwd, output, 'checkpoints'))).sort().reverse()
      await rm(join(cwd, output, 'checkpoints', newest!), { recursive: true })
      const { code, stderr } = await saloraIn([...few, output, '--resume', '--device', 'cpu'], { cwd })
      expect([code, stderr.includes('fold 1 of 3'), await bits(output)]).toEqual([0, lost, await bits('whole')])
    }
  })

  it.each([
    [
      ['--eval-folds', '5', '--eval-data', 'toy.tsv'],
      /^--eval-folds: expected one file of labeled texts, without --eval-data, --eval-share and --redis, got 5$/m,
    ],
    [
      ['--eval-share', '0', '--early-stopping-patience', '2'],
      /^--early-stopping-patience: expected rows that are held out \(--eval-share is 0\), got 2$/m,
    ],
    [['--eval-folds', '20'], /^--eval-folds: expected a different text for each fold, of a class that has others, got 20$/m],
    [['--eval-folds', '1'], /^--eval-folds: expected 0, or 2 to 20, got 1$/m],
    [
      ['--set', 'contrast=1', '--head', 'transformers'],
      /^--set contrast: expected a new classifier of a sentence encoder, with one class a row, got 1$/m,
    ],
  ])('refuses %j in one line', async (args, line) => {
    write('few.tsv', toyFile(8))
    const { code, stderr } = await saloraIn(
      [
        'train',
        '--model',
        'sentences',
        '--task',
        args[1] === '20' ? 'few.tsv' : 'toy.tsv',
        '--output',
        'none',
        '--max-length',
        '16',
        ...args,
      ],
      { cwd },
    )
    expect([
      code === 0,
      stderr
        .split('\n')
        .filter((text) => /^--(eval|early|set)/.test(text))
        .join('\n'),
    ]).toEqual([false, expect.stringMatching(line)])
  })

  it('has no folds by default where gates are chosen, nor for workers of other machines, which prepare what the leader does', async () => {
    const { folds, examples } = JSON.parse(
      await run(
        'train',
        '--model',
        'sentences',
        '--task',
        'toy.tsv',
        '--max-length',
        '16',
        '--method',
        'salora',
        '--max-steps',
        '40',
        '--output',
        'gated',
      ),
    ) as RunResult
    expect([folds, examples.training]).toEqual([undefined, 26])
    const task = { task: join(cwd, 'toy.tsv') }
    const given = { model: join(cwd, 'sentences'), task, output: join(cwd, 'spread'), settings: { maxLength: 16, device: 'cpu' } as const }
    const leading = resolveRunOptions({ ...given, redis: 'redis://127.0.0.1' })
    const prepare = async (options: RunOptions): Promise<PreparedRun> => {
      const preparing = prepareRun({ options, metric: null }, nodeMachine, new AbortController().signal)
      for (;;) {
        const next = await preparing.next()
        if (next.done === true) return next.value
      }
    }
    const { inputs, facts } = await prepare(leading)
    const remote = describeRemoteRun(leading, { inputs, device: 'cpu', revision: null, key: 'k' })
    const worker = await prepare({ ...parseRemoteOptions(remote.options, 'run'), output: given.output, resume: false })
    expect([worker.inputs, facts.folds]).toEqual([inputs, undefined])
  })

  it('refuses a pooling that is neither, in one line', async () => {
    await writeTinyModel(join(cwd, 'broken'))
    await mkdir(join(cwd, 'broken/1_Pooling'))
    await writeFile(join(cwd, 'broken/1_Pooling/config.json'), '{"pooling_mode_mean_tokens": 1}')
    const { code, stderr } = await saloraIn(['train', '--model', 'broken', '--task', 'toy.tsv', '--output', 'none'], { cwd })
    expect([code, stderr.trim().split('\n').at(-1)]).toEqual([
      1,
      expect.stringMatching(/1_Pooling\/config\.json: expected .* pooling_mode_mean_tokens is true or false, got 1$/),
    ])
  })
})

describe('a file with more than two thirds of one class', () => {
  const uneven = async (...more: readonly string[]) => {
    const args = ['train', '--model', 'plain', '--task', 'uneven.tsv', '--output', `uneven-${Math.random()}`, ...still, ...more]
    const { stdout, stderr } = await saloraIn([...args, '--device', 'cpu', '--quiet', '--json'], { cwd })
    const counts = /^warning: \d\d % of the training rows are "good": the classes count alike, and macroF1 chooses the step/m.test(stderr)
    return [counts, (JSON.parse(stdout) as RunResult).selectedBy]
  }

  it('counts its classes alike and selects by macro F1, unless the user chooses', async () => {
    const counted = toyRows(100).filter(({ label }, i) => label === 'good' || i % 8 === 1) // 50 good, 13 bad
    write('uneven.tsv', ['text\tlabel', ...counted.slice(0, 62).map(({ text, label }) => `${text}\t${label}`)].join('\n'))
    expect(await uneven()).toEqual([true, 'macroF1'])
    expect(await uneven('--class-weights', 'equal')).toEqual([false, 'accuracy'])
    expect(await uneven('--metric-for-best-model', 'matthews')).toEqual([false, 'matthews'])
  })
})

/** --adapter: a run starts with the function of an adapter, whatever the order of its classes, and by default with its method, ranks and scale. */
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { readSafetensors, readTensor } from '../../accelerated/checkpoints/safetensors/safetensors.js'
import { respelled } from '../../finetuning/data/labels.js'
import { jsonLines } from '../support/jsonLines.js'
import type { RunConfig } from '../../finetuning/run/run.js'
import { fixtures } from '../golden/golden.js'
import { saloraIn } from './inProcess.js'
import { writeAdapter } from './tinyAdapter.js'
import { toyFile } from './toyTask.js'
import { toyFolder } from './toyFolder.js'

const cwd = toyFolder('warm')
let expected = NaN // the loss of the adapter as it is
beforeAll(async () => {
  const model = join(cwd, 'tiny')
  await writeAdapter(join(cwd, 'adapter'), model, ['good', 'bad']) // ranks 4, 3, 2, 1, 0, …; the data have bad first
  await writeAdapter(join(cwd, 'three'), model)
  await writeAdapter(join(cwd, 'case-adapter'), model, ['good', 'bad'])
  await writeAdapter(join(cwd, 'numbers-adapter'), model, ['1.0', '0.0'])
  const scored = await saloraIn(['evaluate', ...machine, '--model', 'tiny', '--adapter', 'adapter', '--task', 'toy.tsv', '--json'], { cwd })
  expected = (JSON.parse(scored.stdout) as { scores: { loss: number } }).scores.loss
})

const machine = ['--max-length', '16', '--device', 'cpu', '--quiet']
// so small a rate that a step leaves the function what it was
const train = (output: string, ...flags: readonly string[]) =>
  saloraIn(
    [
      'train',
      ...machine,
      ...'--model tiny --task toy.tsv --eval-data toy.tsv --dropout 0 --learning-rate 1e-12 --batch-size 8 --eval-steps 1'.split(' '),
      ...'--output'.split(' '),
      output,
      ...flags,
    ],
    { cwd },
  )
const firstLoss = async (output: string): Promise<number> =>
  jsonLines<{ kind: string; scores: { loss: number } }>(await readFile(join(cwd, output, 'metrics.jsonl'), 'utf8')).find(
    ({ kind }) => kind === 'evaluation',
  )?.scores.loss ?? NaN

const oneStep = ['--method', 'lora', '--rank', '4', '--lora-alpha', '8', '--max-steps', '1']

describe('a run that starts from an adapter', () => {
  it.each([
    ['lora of its rank and scale', ['--method', 'lora', '--rank', '4', '--lora-alpha', '8', '--max-steps', '1']],
    ['whatever the adapter is', ['--max-steps', '1']],
    ['salora, before its gates', ['--method', 'salora', '--rank', '8', '--max-steps', '6', '--set', 'gate-start=0.5,gate-end=0.9']],
  ])('starts with the function of the adapter: %s', async (name, flags) => {
    const output = name.replaceAll(/\W+/g, '-')
    const { code, stderr } = await train(output, '--adapter', 'adapter', ...flags)
    expect([code, stderr.replace(/^warning: .*\n/gm, '')]).toEqual([0, ''])
    expect(await firstLoss(output)).toBeCloseTo(expected, 4)
    const { adapter, settings } = JSON.parse(await readFile(join(cwd, output, 'config.json'), 'utf8')) as Pick<
      RunConfig,
      'adapter' | 'settings'
    >
    expect(adapter).toBe(join(cwd, 'adapter'))
    if (settings.method === 'lora') expect(settings).toMatchObject({ rank: 4, loraAlpha: 8 })
  })

  describe('once it is finished', () => {
    const config = async (output: string): Promise<Readonly<Record<string, unknown>>> =>
      JSON.parse(await readFile(join(cwd, output, 'config.json'), 'utf8')) as Readonly<Record<string, unknown>>
    beforeAll(async () => {
      await cp(join(cwd, 'adapter'), join(cwd, 'changing'), { recursive: true })
      expect((await train('ended', '--adapter', 'changing', '--method', 'lora', '--rank', '4', '--max-steps', '1')).code).toBe(0)
    })

    it('reports with --resume that it is finished, and refuses --tensorboard', async () => {
      const resume = (...flags: readonly string[]) => saloraIn(['train', '--resume', '--output', 'ended', '--quiet', ...flags], { cwd })
      expect(await resume()).toMatchObject({ code: 0, stderr: '' })
      expect(await resume('--tensorboard')).toMatchObject({
        code: 2,
        stderr: '--tensorboard: expected an unfinished run, whose events it can still record, got a finished one in ended\n',
      })
    })

    it('gives the same adapter to a run with its config.json', async () => {
      const { code } = await saloraIn(['train', '--config', 'ended/config.json', '--output', 'again', '--quiet'], { cwd })
      expect(code).toBe(0)
      expect(await config('again')).toMatchObject({ adapter: join(cwd, 'changing') })
      expect(await firstLoss('again')).toBe(await firstLoss('ended'))
    })

    it('is not resumed if the adapter changed', async () => {
      await rm(join(cwd, 'ended', 'result.json'))
      await cp(join(cwd, 'three'), join(cwd, 'changing'), { recursive: true })
      const { code, stderr } = await saloraIn(['train', '--resume', '--output', 'ended', '--quiet'], { cwd })
      expect([code, stderr]).toEqual([1, expect.stringMatching(/the adapter's .*\.json was "[0-9a-f]{12}…" and is /)])
    })
  })

  it('continues a PEFT adapter of a decoder at its rank and targets, without a word about a head', async () => {
    const rows = Array.from({ length: 40 }, (_, i) => JSON.stringify({ instruction: `w${3 + i}`, output: 'w10 w11' }))
    await writeFile(join(cwd, 'rows.jsonl'), rows.join('\n'))
    const task = `train --model ${join(fixtures, 'llama')} --task alpaca --data rows.jsonl --max-steps 1`.split(' ')
    const first = ['--rank', '3', '--lora-alpha', '5', '--target-modules', 'q_proj,up_proj', '--output', 'decoder']
    expect((await saloraIn([...task, ...machine, ...first], { cwd })).code).toBe(0)
    const { code, stderr } = await saloraIn([...task, ...machine, '--adapter', 'decoder/adapter', '--output', 'continued'], { cwd })
    expect([code, stderr]).toEqual([0, expect.not.stringContaining('head')])
    const read = async (file: string) =>
      JSON.parse(await readFile(join(cwd, 'continued', file), 'utf8')) as Readonly<Record<string, unknown>>
    expect((await read('config.json'))['settings']).toMatchObject({ method: 'lora', rank: 3, loraAlpha: 5 })
    expect((await read('adapter/adapter_config.json'))['target_modules']).toHaveLength(4)
  })

  it('trains biases of the adapted matrices, and continues with them', async () => {
    const first = '--rank 2 --target-modules query --set lora-bias=lora_only --max-steps 2 --learning-rate 1e-2'.split(' ')
    expect(await train('biased', ...first)).toMatchObject({ code: 0 })
    const { tensors } = await readSafetensors(join(cwd, 'biased', 'adapter', 'adapter_model.safetensors'))
    const biases = [...tensors].flatMap(([key, entry]) => (key.endsWith('.query.base_layer.bias') ? [entry] : []))
    const before = (await openModelFolder(join(cwd, 'tiny'))).tensors
    for (const entry of biases) {
      const name = entry.name.replace('base_model.model.roberta.', '').replace('.base_layer', '')
      expect(await readTensor(entry)).not.toEqual(await readTensor(before.get(name) ?? expect.unreachable()))
    }
    expect(biases.length).toBeGreaterThan(0)
    const scored = await saloraIn(['evaluate', ...machine, '--run', 'biased', '--task', 'toy.tsv', '--json'], { cwd })
    expect(await train('biased-on', '--adapter', 'biased/adapter', '--max-steps', '1')).toMatchObject({ code: 0 })
    const { loss } = (JSON.parse(scored.stdout) as { scores: { loss: number } }).scores
    expect(await firstLoss('biased-on')).toBeCloseTo(loss, 4)
  })

  it("continues IA³ that PEFT saved, and refuses other vectors than the adapter's", async () => {
    const [model, saved] = [join(fixtures, 'gpt2'), join(fixtures, 'gpt2', 'ia3', 'saved')]
    await writeFile(
      join(cwd, 'ia3.jsonl'),
      ['w3', 'w4'].map((instruction) => JSON.stringify({ instruction, output: 'w10 w11' })).join('\n'),
    )
    const task = `train --model ${model} --task alpaca --data ia3.jsonl --max-steps 1 --learning-rate 1e-12`.split(' ')
    const run = (...flags: readonly string[]) => saloraIn([...task, ...machine, '--adapter', saved, '--output', 'ia3', ...flags], { cwd })
    const refused = async (...flags: readonly string[]) => {
      const { code, stderr } = await run('--method', 'ia3', ...flags)
      return [code, stderr]
    }
    const line = (expected: string, got: string) => [1, `--adapter ${saved}: expected ${expected}, got ${got}\n`]
    expect(await refused('--target-modules', 'c_attn')).toEqual(
      line("vectors of 2 outputs and 0 inputs, as the run's settings have them", '2 outputs and 2 inputs'),
    )
    expect(await refused('--target-modules', 'c_attn,mlp.c_proj', '--set', 'feedforward-modules=c_attn')).toEqual(
      line('h.0.attn.c_attn.l [32], as the settings of the run have it', '[96]'),
    )
    expect(await run()).toMatchObject({ code: 0, stderr: expect.not.stringContaining('head') as string })
    const numbers = async (folder: string) => {
      const { tensors } = await readSafetensors(join(folder, 'adapter_model.safetensors'))
      return Object.fromEntries(await Promise.all([...tensors].map(async ([key, entry]) => [key, [entry.shape, await readTensor(entry)]])))
    }
    expect(await numbers(join(cwd, 'ia3', 'adapter'))).toEqual(await numbers(saved))
  })

  it('refuses an initialization that would replace the adapter', async () => {
    const { code, stderr } = await train('pissa', '--adapter', 'adapter', ...oneStep, '--set', 'init-lora-weights=pissa')
    expect([code, stderr]).toEqual([
      2,
      expect.stringContaining('expected kaiming or gaussian in a run that begins with an adapter, got pissa') as string,
    ])
  })

  it('starts with a new head if the adapter has other classes, with a warning', async () => {
    const { code, stderr } = await train('three-classes', '--adapter', 'three', ...oneStep)
    expect(code).toBe(0)
    expect(stderr).toContain(`warning: ${join(cwd, 'three')}: its head is not of the task's classes; the run begins with another\n`)
  })

  it.each([
    [
      'case',
      ['Good', 'Bad'],
      'case: "good" in the adapter, "Good" in the data. To keep its head, rename the labels in the data',
      ['good', 'bad'],
      [],
    ],
    [
      'numbers',
      ['1', '0'],
      'how numbers are written: "1.0" in the adapter, "1" in the data. To keep its head, write the labels in the data as the adapter does, with --labels-as-text',
      ['1.0', '0.0'],
      ['--labels-as-text'],
    ],
  ] as const)(
    'names the classes that are spelled in another way, and keeps the head with the remedy: %s',
    async (name, written, message, repaired, flags) => {
      const data = (labels: readonly [string, string]) =>
        writeFile(
          join(cwd, `${name}.tsv`),
          toyFile(40)
            .replaceAll(/\tgood$/gm, `\t${labels[0]}`)
            .replaceAll(/\tbad$/gm, `\t${labels[1]}`),
        )
      const files = ['--task', `${name}.tsv`, '--eval-data', `${name}.tsv`, ...oneStep]
      await data(written)
      const warned = await train(`${name}-warned`, '--adapter', `${name}-adapter`, ...files)
      expect(warned.stderr).toContain(
        `warning: ${join(cwd, `${name}-adapter`)}: its head is not of the task's classes; the run begins with another. The classes differ only in ${message}\n`,
      )
      await data(repaired)
      const kept = await train(`${name}-kept`, '--adapter', `${name}-adapter`, ...files, ...flags)
      expect([kept.code, kept.stderr]).toEqual([0, expect.not.stringContaining('its head is not')])
      expect(await firstLoss(`${name}-kept`)).toBeCloseTo(expected, 4)
    },
  )
})

it.each([
  [['1', '0'], ['0.0', '1.0'], { first: '1', second: '1.0', as: 'number' }],
  [['Good', 'bad'], ['bad', 'good'], { first: 'Good', second: 'good', as: 'case' }],
  [['good', 'bad'], ['bad', 'good'], null],
  [['good', 'bad'], ['good', 'dull'], null],
  [['good', 'bad'], ['good', 'bad', 'BAD'], null],
  [['good', 'GOOD'], ['Good', 'bad'], null],
  [['1', '1.0'], ['1', '2'], null],
])('%j and %j are compared by number and case: %j', (first, second, expected) => expect(respelled(first, second)).toEqual(expected))

/** Decoders that learn text on the command line: training, resuming, evaluating, merging, and one line per invalid flag. */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { fixtures } from '../golden/golden.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { saloraIn } from './inProcess.js'
import { salora } from './spawnSalora.js'

const { folder: root } = temporaryFolder('texts')
beforeAll(async () => {
  // one of two responses, whatever the instruction's word
  const row = (i: number) => ({ instruction: ` w${3 + ((7 * i) % 40)}`, output: i % 3 === 0 ? ' w10 w11 w12' : ' w20 w21 w12', row: i })
  const rows = Array.from({ length: 120 }, (_, i) => row(i))
  await writeFile(
    join(root, 'rows.json'),
    JSON.stringify(rows.map((row) => ({ ...row, input: row.row % 2 === 0 ? '' : ` w${3 + (row.row % 7)}` }))),
  )
  await writeFile(join(root, 'text.txt'), rows.map(({ output }) => `${output.trim()}\n\n`).join(''))
})

const model = (family: string): string => join(fixtures, family)
/** The run that is named as its family is a process, as a user's is. */
const train = (family: string, output: string, ...more: readonly string[]) =>
  (output === 'llama' ? salora : saloraIn)(
    [
      ...['train', '--model', model(family), '--output', output, '--max-length', '48', '--batch-size', '8', '--learning-rate', '1e-2'],
      ...['--device', 'cpu', ...more],
    ],
    { cwd: root },
  )
const alpaca = ['--task', 'alpaca', '--data', 'rows.json']
const json = async (file: string): Promise<Record<string, unknown>> =>
  JSON.parse(await readFile(join(root, file), 'utf8')) as Record<string, unknown>
type Result = {
  readonly last: { readonly scores: { readonly loss: number; readonly perplexity: number } }
  readonly retainedDensity: number
  readonly best: Result['last']
  readonly examples: { readonly evaluation: number }
}

describe.each(['llama', 'qwen2'])('%s', (family) => {
  it('learns responses by SaLoRA within its budget, with a held-out loss far below chance', async () => {
    const { code, stdout } = await train(family, family, ...alpaca, '--method', 'salora', '--epochs', '8', '--load-best-model-at-end')
    expect(code).toBe(0)
    const { last, best, retainedDensity } = (await json(`${family}/result.json`)) as Result
    expect(best.scores.loss).toBeLessThan(0.35 * Math.log(50))
    expect(last.scores.perplexity).toBeCloseTo(Math.exp(last.scores.loss), 6)
    expect(retainedDensity).toBeLessThanOrEqual(0.5)
    expect(stdout).toContain(`to use it   salora generate --run ${family} --prompt TEXT`)
    expect(await json(`${family}/adapter/adapter_config.json`)).toMatchObject({
      task_type: 'CAUSAL_LM',
      modules_to_save: null,
      peft_type: 'LORA',
    })
    expect(await json(`${family}/adapter/salora.json`)).toEqual({ labelNames: null, taskType: 'causal', problemType: null })
    expect(await readFile(join(root, family, 'adapter', 'README.md'), 'utf8')).toContain('pipeline_tag: text-generation\n')
  })

  it('has the loss of its run in salora evaluate, by the adapter and by the merged model', async () => {
    const { best, examples } = (await json(`${family}/result.json`)) as Result
    const scored = async (...args: readonly string[]) => {
      const { code, stdout, stderr } = await saloraIn(['evaluate', ...args, '--device', 'cpu', '--json', '--quiet'], { cwd: root })
      expect([code, stderr]).toEqual([0, ''])
      return JSON.parse(stdout) as { readonly scores: Result['last']['scores']; readonly tokens: number; readonly trainedOn: number }
    }
    const { scores, tokens, trainedOn } = await scored('--run', family)
    expect(scores.loss).toBeCloseTo(best.scores.loss, 5)
    expect([tokens, trainedOn]).toEqual([4 * examples.evaluation, 0])

    const { code, stdout } = await saloraIn(
      ['export', '--run', family, '--format', 'merged', '--output', `${family}-merged`, '--json', '--quiet'],
      { cwd: root },
    )
    expect(code).toBe(0)
    const { comparison } = JSON.parse(stdout) as { readonly comparison: { readonly largestLogitDifference: number } }
    expect(comparison.largestLogitDifference).toBeLessThan(1e-5)
    expect((await json(`${family}-merged/config.json`))['architectures']).toEqual([
      family === 'llama' ? 'LlamaForCausalLM' : 'Qwen2ForCausalLM',
    ])
    const flags = [...alpaca, '--max-length', '48']
    const [adapted, merged] = [
      await scored('--model', model(family), '--adapter', `${family}/adapter`, ...flags),
      await scored('--model', `${family}-merged`, ...flags),
    ]
    expect(merged.scores.loss).toBeCloseTo(adapted.scores.loss, 5)
  })

  it('generates a learned response to an instruction and stops, by the adapter and by the merged model', async () => {
    await writeFile(join(root, 'asked.jsonl'), [3, 9, 30].map((word) => `{"instruction":" w${word}"}\n`).join(''))
    const answers = async (...of: readonly string[]) => {
      const { code, stdout } = await saloraIn(['generate', ...of, '--input', 'asked.jsonl', '--device', 'cpu', '--json', '--quiet'], {
        cwd: root,
      })
      expect(code).toBe(0)
      return JSON.parse(stdout) as readonly { readonly text: string; readonly ended: string }[]
    }
    const expected = await answers('--run', family)
    for (const { text, ended } of expected) expect([text, ended]).toEqual([expect.stringMatching(/^ w(10 w11|20 w21) w12$/), 'end'])
    expect(await answers('--model', `${family}-merged`)).toEqual(expected)
  })
})

describe('a run on text', () => {
  it('resumes to the same bits with --packing', async () => {
    const how = [...alpaca, '--method', 'lora', '--max-steps', '12', '--save-steps', '5', '--packing']
    expect((await train('llama', 'whole', ...how)).code).toBe(0)
    const before = await readFile(join(root, 'whole', 'adapter', 'adapter_model.safetensors'))
    await rm(join(root, 'whole', 'checkpoints', 'step-000000012.safetensors'))
    await rm(join(root, 'whole', 'result.json'))
    expect((await train('llama', 'whole', ...how, '--resume')).code).toBe(0)
    expect(await readFile(join(root, 'whole', 'adapter', 'adapter_model.safetensors'))).toEqual(before)
  })

  it('is not resumed with another prompt template', async () => {
    const { code, stderr } = await train('llama', 'whole', '--resume', '--prompt-template', 'alpaca', '--max-steps', '20')
    expect(code).not.toBe(0)
    expect(stderr).toMatch(/promptTemplate/)
  })

  it.each(['lora', 'adalora', 'full', 'prompt --set num-virtual-tokens=4', 'lora --precision int8'])(
    'learns plain text by %s',
    async (how) => {
      const output = how.replaceAll(' ', '')
      const { code } = await train(
        'mistral',
        output,
        '--task',
        'text',
        '--data',
        'text.txt',
        '--method',
        ...how.split(' '),
        '--epochs',
        '4',
      )
      expect(code).toBe(0)
      const { last, best } = (await json(`${output}/result.json`)) as Result
      expect(last.scores.loss).toBeCloseTo(Math.log(last.scores.perplexity), 6)
      expect(best.scores.loss).toBeLessThan(5)
    },
  )

  it('trains and saves an untied head with --method full', async () => {
    expect((await train('llama', 'all', ...alpaca, '--method', 'full', '--max-steps', '3')).code).toBe(0)
    const { code, stdout } = await saloraIn(['evaluate', '--model', 'all/adapter', ...alpaca, '--max-length', '48', '--json', '--quiet'], {
      cwd: root,
    })
    expect(code).toBe(0)
    const [report] = [JSON.parse(stdout) as { readonly scores: { readonly loss: number } }]
    const base = await saloraIn(['evaluate', '--model', model('llama'), ...alpaca, '--max-length', '48', '--json', '--quiet'], {
      cwd: root,
    })
    expect(report.scores.loss).toBeLessThan((JSON.parse(base.stdout) as typeof report).scores.loss)
  })

  it('has a result that cannot classify', async () => {
    const answer = await saloraIn(['predict', '--run', 'llama', '--quiet'], { cwd: root, input: 'w3\n' })
    expect([answer.code, answer.stderr]).toEqual([
      1,
      'llama: expected a classifier, or an adapter of one, got what writes text (salora generate, or salora evaluate)\n',
    ])
  })
})

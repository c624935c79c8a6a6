/**
 * Estimates of memory and measured peaks, case by case: the output of `salora estimate`, and the largest resident memory of the process that then
 * trains. Run `node dist/evaluation/studies/estimateCases.js [--only NAMES] > evaluation/results/estimate.json`.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { robertaBase, wholeVocabulary, writeRandomModel } from '../benchmark/model.js'
import type { Estimate } from '../../finetuning/runs/estimate.js'
import { embeddedModel } from '../../finetuning/embedded/quickstart.js'
import type { RunResult } from '../../finetuning/runs/run.js'
import { listFlag } from '../../finetuning/commandLine/flag.js'
import { scriptValues } from '../../finetuning/commandLine/script.js'
import { versions } from '../../finetuning/runs/versions.js'

type Case = { readonly model: keyof typeof configs | 'embedded'; readonly flags: ReadonlyArray<string> }

const llama = {
  model_type: 'llama',
  vocab_size: 32_000,
  hidden_size: 512,
  num_hidden_layers: 8,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  intermediate_size: 1376,
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
  hidden_act: 'silu',
  bos_token_id: 1,
  eos_token_id: 2,
}
const configs = { 'roberta-base': robertaBase({ layers: 12, sequence: 512, vocabulary: wholeVocabulary }), 'llama-small': llama } as const

const cases: Readonly<Record<string, Case>> = {
  'embedded-salora': { model: 'embedded', flags: ['--method', 'salora', '--batch-size', '32', '--max-length', '64'] },
  'embedded-full': { model: 'embedded', flags: ['--method', 'full', '--batch-size', '32', '--max-length', '64'] },
  'llama-lora': { model: 'llama-small', flags: ['--method', 'lora', '--batch-size', '8', '--max-length', '128'] },
  'llama-full-recompute': {
    model: 'llama-small',
    flags: ['--method', 'full', '--batch-size', '4', '--max-length', '128', '--gradient-checkpointing'],
  },
  'llama-salora-int8': {
    model: 'llama-small',
    flags: ['--method', 'salora', '--precision', 'int8', '--batch-size', '8', '--max-length', '128'],
  },
  'roberta-lora': { model: 'roberta-base', flags: ['--method', 'lora', '--batch-size', '16', '--max-length', '128'] },
  'roberta-lora-recompute': {
    model: 'roberta-base',
    flags: ['--method', 'lora', '--batch-size', '16', '--max-length', '128', '--gradient-checkpointing'],
  },
  'roberta-salora-8': { model: 'roberta-base', flags: ['--method', 'salora', '--batch-size', '8', '--max-length', '128'] },
  'roberta-salora-int8-recompute': {
    model: 'roberta-base',
    flags: ['--method', 'salora', '--precision', 'int8', '--batch-size', '8', '--max-length', '128', '--gradient-checkpointing'],
  },
}

const steps = 4
const program = fileURLToPath(new URL('../../cli/salora.js', import.meta.url))

const run = promisify(execFile)
const json = async (cwd: string, args: ReadonlyArray<string>): Promise<unknown> => {
  const { stdout } = await run(process.execPath, [program, ...args, '--json', '--quiet'], {
    cwd,
    maxBuffer: 2 ** 26,
    env: { ...process.env, HF_HUB_OFFLINE: '1', SALORA_CACHE: join(cwd, 'cache') },
  })
  return JSON.parse(stdout)
}

const names = Object.keys(cases)
const {
  flags: { only: chosen },
} = scriptValues({
  name: 'node dist/evaluation/studies/estimateCases.js',
  description: 'Compare estimates of memory with measured peaks, case by case, and print them as JSON.',
  flags: { Options: { only: listFlag('names', `Cases, separated by commas: ${names.join(', ')}`, { defaultText: 'all' }) } },
  examples: [
    {
      command: 'node dist/evaluation/studies/estimateCases.js --only embedded-salora',
      result: 'Prints the estimate and the peak of one case.',
    },
  ],
})
const only = chosen ?? names
const unknown = only.find((name) => !(name in cases))
if (unknown !== undefined) throw inputError('--only', `names of ${Object.keys(cases).join(', ')}`, quoted(unknown))
const cwd = await mkdtemp(join(tmpdir(), 'salora-estimate-'))
const rows: object[] = []
try {
  for (const [name, config] of Object.entries(configs)) {
    if (!only.some((selected) => cases[selected]?.model === name)) continue
    await mkdir(join(cwd, name))
    await writeRandomModel(join(cwd, name), config)
  }
  // texts longer than any that is asked for, and a batch of them to evaluate on
  const text = (i: number): string => `${'a film that nobody saw '.repeat(100)}${i}\t${i % 2 === 0 ? 'good' : 'bad'}`
  for (const [file, count] of [
    ['train.tsv', 96],
    ['dev.tsv', 32],
  ] as const)
    await writeFile(join(cwd, file), ['text\tlabel', ...Array.from({ length: count }, (_, i) => text(i))].join('\n'))
  for (const name of only) {
    const { model, flags } = cases[name] ?? { model: 'embedded', flags: ['--no-such-case'] }
    const all = ['--model', model === 'embedded' ? embeddedModel : model, ...flags, '--device', 'cpu']
    const estimate = (await json(cwd, ['estimate', ...all])) as Estimate
    const task = ['--task', 'train.tsv', '--eval-data', 'dev.tsv', '--max-steps', String(steps), '--output', name]
    const { peakMemoryBytes } = (await json(cwd, ['train', ...all, ...task])) as RunResult
    const { base, weights, activations, state, evaluation, graphs, peak } = estimate
    const row = {
      case: name,
      model,
      flags: flags.join(' '),
      ratio: peak / peakMemoryBytes,
      measured: peakMemoryBytes,
      estimated: { base, weights, activations, state, evaluation, graphs, peak },
    }
    rows.push(row)
    process.stderr.write(
      `${name}: estimated ${(peak / 1e6).toFixed(0)} MB, measured ${(peakMemoryBytes / 1e6).toFixed(0)} MB: ${row.ratio.toFixed(3)}\n`,
    )
  }
} finally {
  await rm(cwd, { recursive: true, force: true })
}
process.stdout.write(
  `${JSON.stringify({ command: 'node dist/evaluation/studies/estimateCases.js > evaluation/results/estimate.json', steps, versions, platform: `${process.platform} ${process.arch}`, rows }, null, 2)}\n`,
)

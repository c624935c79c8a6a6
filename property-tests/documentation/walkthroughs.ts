/** The pages with shell blocks, and for each how a test runs it: small data and models, and reasons for commands that are not run. */
import { readFileSync } from 'node:fs'
import { toyRows } from '../cli/toyTask.js'

export type Walkthrough = {
  readonly page: string
  /** What the reader is supposed to have, in small. */
  readonly files?: Readonly<Record<string, string>>
  /** Commands for what the page presupposes, such as a finished run. */
  readonly before?: readonly string[]
  /** What is smaller than on the page, beside what `smaller` has. */
  readonly replaced?: readonly (readonly [text: string, by: string])[]
  /** Commands that are not run, by their beginning, with the reason. */
  readonly notRun?: Readonly<Record<string, string>>
  /** Files that the folder has in the end. */
  readonly leaves: readonly string[]
  /** What the commands print, among other things. */
  readonly prints?: readonly RegExp[]
  /** Commands are processes of the built program, as a reader's are. */
  readonly inProcesses?: true
}

const fewSteps = '{ maxSteps: 8, evalSteps: 8, batchSize: 4, maxLength: 64, threads: 1 }'

/** In every page: `encoder` is a random RoBERTa of two layers, `decoder` a random LLaMA of two layers; both have the embedded tokenizer. */
export const smaller: readonly (readonly [RegExp, string])[] = [
  [/FacebookAI\/roberta-base|google-bert\/bert-base-uncased/, 'encoder'],
  [/HuggingFaceTB\/SmolLM2-135M-Instruct|\.\/llama\b/, 'decoder'],
  [/^(npx )?salora train (?!--resume)(.*)/, '$1salora train $2 --max-steps 8 --eval-steps 8 --batch-size 4 --max-length 64 --threads 1'],
  [/^(npx )?salora glue (.*)/, '$1salora glue $2 --threads 1'],
  [/(npx )?salora (generate|chat) (.*)/, '$1salora $2 $3 --max-new-tokens 4'],
  [/maxLength: 128/, 'maxLength: 64'],
  [/output: '(runs\/\w+)' /, `output: '$1', settings: ${fewSteps} `],
  [/output: '(runs\/\w+)', settings /, `output: '$1', settings: { ...settings, ...${fewSteps} } `],
]

const reviews = ['review,stars', ...toyRows(40).map(({ text, label }) => `${text},${label === 'good' ? 5 : 1}`)].join('\n')

const csvRows = (count: number): string => ['text,label', ...toyRows(count).map(({ text, label }) => `${text},${label}`)].join('\n')

const mrpcRows = (count: number): string =>
  [
    'Quality\t#1 ID\t#2 ID\t#1 String\t#2 String',
    ...toyRows(count).map(({ text, label }, i) => `${i % 2}\t${i}\t${i}\t${text}\tThis film is ${label}.`),
  ].join('\n')
const glue = {
  'glue/MRPC/train.tsv': mrpcRows(24),
  'glue/MRPC/dev.tsv': mrpcRows(8),
}

const instructions = {
  'instructions.json': JSON.stringify(
    Array.from({ length: 24 }, (_, i) => ({ instruction: `Write the number ${i}.`, input: '', output: `It is ${i}.` })),
  ),
}

const lines = (...texts: readonly string[]): string => texts.map((text) => `${text}\n`).join('')
const styleLines = (word: string, count: number): string => lines(...toyRows(count).map((_, i) => `the film number ${i} was ${word} .`))
/** Real sentences: discounts of n-grams need a text that is not artificial. */
const sentences = readFileSync('finetuning/data/sentiment/sentences.jsonl', 'utf8')
  .trim()
  .split('\n')
  .slice(0, 1000)
  .map((line) => (JSON.parse(line) as { readonly text: string }).text)
const yelp = {
  'yelp/train.0': styleLines('bad', 24),
  'yelp/train.1': styleLines('good', 24),
  'yelp/dev.0': styleLines('awful', 4),
  'yelp/dev.1': styleLines('great', 4),
  'yelp/test.0': styleLines('bad', 2),
  'yelp/test.1': styleLines('good', 2),
  'yelp/reference.0': lines(...[0, 1].map((i) => `the film number ${i} was bad .\tThe film number ${i} was good!`)),
  'yelp/reference.1': lines(...[0, 1].map((i) => `the film number ${i} was good .\tThe film number ${i} was bad!`)),
}

const tagged = (count: number): string =>
  Array.from({ length: count }, (_, i) => `Ann${i}\tB-person\nwent\tO\nto\tO\nRome\tB-location\n`).join('\n')

const trainReviews = 'salora train --model encoder --task reviews.csv --text review --label stars --output runs/reviews'
const npmOnly = 'needs the network and a fresh clone; .ci/run installs, builds and tests'
const serveRuns = 'runs until Ctrl-C; property-tests/serving starts it'
const boardRuns = 'runs until Ctrl-C; property-tests/cli/board.test.ts starts it'

export const walkthroughs: readonly Walkthrough[] = [
  {
    page: 'README.md',
    files: { 'reviews.csv': reviews },
    notRun: { npm: npmOnly, 'npx salora serve': serveRuns },
    leaves: ['runs/reviews/adapter/adapter_model.safetensors', 'report.html', 'exported/reviews/onnx/model_quantized.onnx'],
    prints: [/"label":"[15]"/],
  },
  { page: 'docs/index.md', notRun: { npm: npmOnly }, leaves: [] },
  {
    page: 'docs/tutorials/first-classifier.md',
    replaced: [['--epochs 3', '']],
    notRun: { npm: 'a link to this clone replaces the installed package; property-tests/package installs it' },
    leaves: ['reviews.csv', 'runs/reviews/adapter', 'report.html', 'page/index.html', 'page/model/onnx/model_quantized.onnx'],
    prints: [/reviews\.csv: 2379 rows/, /"label":"(positive|negative)"/],
    inProcesses: true,
  },
  {
    page: 'docs/tutorials/instruction-model.md',
    leaves: ['instructions.json', 'runs/answers/adapter', 'exported/answers/model.safetensors'],
    prints: [/perplexity/],
  },
  {
    page: 'docs/tutorials/reproduce-a-table.md',
    files: glue,
    replaced: [
      ['--model embedded', '--model encoder'],
      ['--tasks mrpc,rte', '--tasks mrpc'],
      ['--seeds 3 --epochs 3', '--seeds 1 --epochs 3 --batch-size 8 --max-length 32'],
    ],
    notRun: { 'npx salora board': boardRuns },
    leaves: ['runs/small/table.md', 'runs/small/table.tex', 'runs/grid/table.csv', 'small.html'],
    prints: [/salora:retain=random/],
  },
  {
    page: 'docs/how-to/decoders.md',
    files: {
      'chats.jsonl': lines(...Array.from({ length: 24 }, (_, i) => JSON.stringify({ prompt: `Name ${i}.`, completion: ` Red is ${i}.` }))),
      'preferences.jsonl': lines(
        ...Array.from({ length: 24 }, (_, i) => JSON.stringify({ prompt: `Write ${i}.`, chosen: `It is ${i}.`, rejected: 'No.' })),
      ),
      'questions.jsonl': lines(
        ...Array.from({ length: 24 }, (_, i) =>
          JSON.stringify({ question: `What is ${i}?`, choices: ['A number.', 'A word.'], answer: 'A' }),
        ),
      ),
    },
    leaves: ['runs/chats/adapter', 'runs/preferred/adapter/adapter_model.safetensors', 'runs/choices/adapter/adapter_model.safetensors'],
    prints: [/⟦/, /^ *accuracy/m, /^accuracyNorm/m],
  },
  {
    page: 'docs/how-to/choose-a-method.md',
    files: { 'reviews.csv': reviews },
    replaced: [
      [
        '--output runs/tune',
        '--methods lora --ranks 2 --learning-rates 1e-3,1e-2 --max-steps 3 --max-length 16 --threads 1 --output runs/tune',
      ],
    ],
    leaves: ['runs/tune/tune.json'],
    prints: [/^lora, rank 2, 1e-[23] .*\*/m, /^salora train --model /m],
  },
  { page: 'docs/how-to/browser.md', notRun: { npm: 'serves until Ctrl-C, or writes what property-tests/web opens' }, leaves: [] },
  {
    page: 'docs/how-to/add-tokens.md',
    files: {
      'dialogs.txt': Array.from({ length: 24 }, (_, i) => `<|user|> What is ${i}? <|bot|> It is ibuprofen number ${i}.`).join('\n\n'),
    },
    replaced: [["'<|im_start|>,2'", "'2,Ġfilm'"]],
    leaves: ['runs/dialogs/adapter/tokenizer.json', 'runs/marks/adapter/adapter_model.safetensors'],
    prints: [/parameters +[\d,]+ in the adapter, [\d,]+ in the tokens/],
  },
  {
    page: 'docs/how-to/sentence-embeddings.md',
    files: {
      'pairs.csv': ['question,answer', ...toyRows(24).map(({ text, label }) => `${text},It was ${label}: ${text}`)].join('\n'),
      'graded.csv': [
        'query,text,grade',
        ...toyRows(24).map(({ text, label }, i) => `question ${Math.floor(i / 4)},${text},${label === 'good' ? 2 : i % 2}`),
      ].join('\n'),
      'similar.csv': ['a,b,score', ...toyRows(12).map(({ text, label }, i) => `${text},${label} ${text},${i % 5}`)].join('\n'),
    },
    replaced: [
      ['sentence-transformers/all-MiniLM-L6-v2', 'encoder'],
      ['matryoshka=128,64', 'matryoshka=8,4'],
    ],
    leaves: [
      'runs/answers/adapter/adapter_model.safetensors',
      'runs/nested/adapter/adapter_model.safetensors',
      'runs/reranker/adapter/adapter_model.safetensors',
      'exported/answers/onnx/model.onnx',
    ],
    prints: [/^spearman/m, /"embedding":\[/, /\{\s+embedding: \[/, /"score":/],
  },
  {
    page: 'docs/how-to/token-classification.md',
    files: { 'train.conll': tagged(12), 'dev.conll': tagged(4), 'test.conll': tagged(6) },
    leaves: ['runs/entities/adapter/adapter_model.safetensors', 'exported/entities/onnx/model.onnx'],
    prints: [/^recall/m, /"entities":\[/],
  },
  {
    page: 'docs/how-to/exports.md',
    files: { 'reviews.csv': reviews },
    before: [`${trainReviews} --method salora`, `${trainReviews.replace('runs/reviews', 'runs/support')} --method lora --rank 2`],
    replaced: [['rank-pattern', 'rank-pattern --force']], // ranks of four steps mean nothing
    notRun: {
      'npx salora push runs': 'needs the network and an account; property-tests/cli/push.test.ts pushes to a server on the loopback',
      npm: npmOnly,
      echo: 'needs the network',
      export: 'is for the command after it',
    },
    leaves: [
      'exported/reviews/onnx/model.onnx',
      'exported/base/adapter.safetensors',
      'exported/sentiment/adapter.safetensors',
      'merged/adapter_config.json',
    ],
    prints: [/comparison: \{/, /rank_pattern/, /merged by cat: /, /for my-reviews-web \(--dry-run: nothing was sent\)/],
  },
  {
    page: 'docs/how-to/llama-cpp.md',
    files: instructions,
    before: ['salora train --model decoder --task alpaca --data instructions.json --method lora --output runs/answers'],
    replaced: [['--model base.gguf', '--model exported/whole/model.gguf']],
    notRun: { 'llama-cli': 'needs llama.cpp; property-tests/llamacpp runs it' },
    leaves: ['exported/answers/adapter.gguf', 'exported/whole/model.gguf', 'exported/whole/Modelfile'],
    prints: [/to use it: llama-cli --model BASE\.gguf --lora exported\/answers\/adapter\.gguf/],
  },
  {
    page: 'docs/how-to/from-peft.md',
    files: glue,
    before: [
      'salora train --model encoder --task mrpc --data glue/MRPC --method lora --output runs/peft',
      'salora export --run runs/peft --format peft --output peft-adapter',
    ],
    leaves: ['runs/mrpc/adapter/adapter_config.json', 'runs/continued/adapter/adapter_config.json'],
  },
  {
    page: 'docs/how-to/memory-and-gpus.md',
    files: instructions,
    notRun: { 'node scripts': 'needs the built clone; property-tests/package/gpuTrial rehearses it' },
    leaves: ['runs/answers/adapter'],
    prints: [/activations/, /^cpu/m],
  },
  {
    page: 'docs/how-to/library.md',
    notRun: { npm: 'needs a packed clone; property-tests/package packs and installs it' },
    leaves: [],
  },
  { page: 'docs/how-to/serve.md', notRun: { 'npx salora serve': serveRuns }, leaves: [] },
  {
    page: 'docs/how-to/report-and-board.md',
    files: { ...glue, 'reviews.csv': reviews },
    before: [
      trainReviews,
      'salora glue --model encoder --data glue --tasks mrpc --methods lora --seeds 1 --epochs 1 --max-length 32 --output runs/table1',
    ],
    notRun: { 'npx salora board': boardRuns, ssh: 'needs another machine' },
    leaves: ['report.html'],
  },
  {
    page: 'docs/how-to/compare-methods.md',
    files: {
      ...{ ...yelp, ...glue },
      ...instructions,
      'outputs.txt': styleLines('good', 2),
      'human1.txt': styleLines('good', 2),
      'human2.txt': styleLines('great', 2),
      'train.txt': lines(...sentences),
      'test.txt': styleLines('great', 4),
    },
    before: [
      'salora train --model decoder --task alpaca --data instructions.json --output runs/answers',
      'salora train --model encoder --task yelp --data yelp --preset tsst-classifier --output runs/styles',
    ],
    replaced: [['--seeds 5', '--seeds 1 --tasks mrpc --epochs 3 --batch-size 8 --max-length 32']],
    leaves: ['runs/table1/table.md', 'transfers/table.md', 'transfers/examples.html', 'model.arpa'],
    prints: [/BLEU/, /perplexity/],
  },
  {
    page: 'docs/how-to/several-machines.md',
    notRun: {
      'npx salora train': 'needs Redis; property-tests/cli/severalMachines.test.ts follows the page',
      'npx salora worker': 'needs Redis; property-tests/cli/severalMachines.test.ts follows the page',
      'npx salora glue': 'needs Redis; see property-tests/cli/queue.test.ts',
    },
    leaves: [],
  },
  {
    page: 'docs/how-to/training.md',
    files: { ...yelp, ...glue },
    replaced: [['--epochs 30', '--epochs 3']],
    notRun: {
      'export MLFLOW_TRACKING_URI': 'it names a server',
      'npx salora train --model FacebookAI/roberta-base --task mrpc --data glue/MRPC --report-to': 'it needs a server',
    },
    leaves: ['runs/styles/adapter', 'runs/more/adapter'],
  },
  {
    page: 'docs/how-to/your-own-data.md',
    files: {
      ...{ ...glue, 'reviews.csv': reviews, 'new.csv': lines('review', ...toyRows(24).map(({ text }) => text)) },
      ...{ 'train.csv': csvRows(40), 'test.csv': csvRows(8) },
      'more.csv': csvRows(24),
    },
    before: [
      'salora train --model encoder --task reviews.csv --text review --label stars --method lora --output runs/lora',
      'salora export --run runs/lora --format merged --output exported/merged',
    ],
    notRun: {
      'npx salora inspect hf://': 'needs the network; see property-tests/property/finetuning/hubFile.test.ts',
      'npx salora train --model FacebookAI/roberta-base --task hf://':
        'needs the network; see property-tests/property/finetuning/hubFile.test.ts',
      "echo 'My parcel": 'needs the network; see property-tests/cli/probe.test.ts',
    },
    leaves: ['runs/reviews/adapter', 'runs/mrpc/adapter'],
    prints: [/"label":"[15]"/, /\{\s+label: '[15]',\s+score: /, /^review,label,score,score_1,score_5,error\r?$/m, /accuracy/],
  },
  {
    page: 'docs/explanation/paper.md',
    replaced: [['--batch-size 8 --max-steps 4600', '--batch-size 8 --max-steps 10']],
    leaves: ['runs/figure6/adam/adapter/adapter_config.json', 'figure6.html'],
  },
  {
    page: 'docs/explanation/low-precision.md',
    files: instructions,
    leaves: ['runs/answers/adapter'],
    prints: [/^cpu/m],
  },
  {
    page: 'docs/explanation/exactness.md',
    replaced: [['salora verify', 'salora verify --cases 1']],
    leaves: [],
    prints: [/comparisons hold/],
  },
]

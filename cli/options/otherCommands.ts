/** What people and other tools call our commands: loaded where a command does not exist. */

/** By ours, as typed after `salora`: names in lower case, without - and _. */
const otherCommands: Readonly<Record<string, ReadonlyArray<string>>> = {
  bench: ['benchmark', 'perf', 'profile', 'speed'],
  board: ['dashboard', 'monitor', 'tensorboard', 'ui', 'watch', 'webui'],
  chat: ['ask', 'repl', 'run', 'talk', 'webchat'],
  doctor: ['check', 'devices', 'diagnose', 'env', 'info', 'system'],
  evaluate: ['eval', 'score', 'test', 'validate'],
  export: ['convert', 'gguf', 'merge', 'mergeadapter', 'mergelora', 'quantize', 'save'],
  generate: ['complete', 'completion', 'sample'],
  inspect: ['data', 'dataset', 'explore', 'preprocess', 'preview', 'tokenize'],
  predict: ['classify', 'embed', 'infer', 'inference', 'label', 'tag'],
  push: ['publish', 'share', 'upload'],
  quickstart: ['demo', 'example', 'init', 'start', 'tutorial'],
  'rank-pattern': ['rank', 'ranks'],
  report: ['compare', 'plot', 'results', 'summary'],
  serve: ['api', 'deploy', 'server', 'vllmserve'],
  train: ['adapt', 'finetune', 'fit', 'llmft', 'lora', 'pretrain', 'sft'],
  'train --resume': ['continue', 'resume'],
  'train --task preference': ['align', 'dpo', 'kto', 'orpo', 'preference', 'reward', 'simpo'],
  tune: ['grid', 'hpo', 'hyperparameters', 'optimize', 'search', 'sweep'],
}

/** Ours for the name that was typed, as `train --resume`; null where nobody calls one so. */
export const otherCommand = (typed: string): string | null => {
  const plain = typed.replaceAll(/[-_]/g, '').toLowerCase()
  return Object.entries(otherCommands).find(([, names]) => names.includes(plain))?.[0] ?? null
}

/** Every other name, for tests. */
export const otherCommandNames = Object.values(otherCommands).flat()

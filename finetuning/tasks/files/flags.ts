/** Options that several sources have. */
import type { TaskFlag } from '../task.js'

export const textColumn: TaskFlag = {
  name: 'text',
  placeholder: 'column',
  description: 'Column of the text',
  defaultText: 'text',
  common: true,
}

export const skipMissing: TaskFlag = {
  name: 'skipMissing',
  placeholder: '',
  description: 'Skip rows without a text, a label or a response',
}

export const packing: TaskFlag = {
  name: 'packing',
  placeholder: '',
  description: 'Pack several texts into each row of --max-length tokens; they do not attend to each other (alpaca, text)',
}

export const encoding: TaskFlag = {
  name: 'encoding',
  placeholder: 'name',
  description: 'Encoding of a file of text, such as windows-1252 (Excel) or utf-16le',
  defaultText: 'utf-8',
}

export const evalShare: TaskFlag = {
  name: 'evalShare',
  placeholder: 'share',
  description: 'Share of the file that is held out for evaluation, from each class; 0 trains on all rows',
  defaultText: '0.1',
}

export const promptTemplate: TaskFlag = {
  name: 'promptTemplate',
  placeholder: 'name',
  description: "Prompt template: paper (SaLoRA's Appendix C), alpaca (Stanford's), chat (the model's own) or none (prompts as they are)",
  defaultText: 'chat if the model has a chat template, else paper',
}

export const templateDate: TaskFlag = {
  name: 'templateDate',
  placeholder: 'date',
  description: 'Date that a chat template writes, such as 2026-03-07',
  defaultText: 'the day on which the run begins',
  viaSet: true,
}

/** Numbers copied from the paper are in its text, digit by digit (needs ../shared/paper). */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { published } from '../../evaluation/styleTransfer/transferTable.js'
import { appendixBGrid, paperTable1, paperTable3, type PaperScore } from '../../evaluation/glue/paper.js'
import { buildRecipe } from '../../finetuning/tasks/datasets/glueRecipe.js'
import type { GlueName } from '../../finetuning/data/glueTasks.js'

const file = join(import.meta.dirname, '../../../shared/paper/salora-paper.txt')
/** Without blanks, and with the zeros that its print leaves out. */
const paper = existsSync(file)
  ? readFileSync(file, 'utf8')
      .replace(/[^\S\n]+/g, '')
      .replaceAll('±.', '±0.')
  : ''
const lineOf = (start: string): string => paper.split('\n').find((line) => line.startsWith(start.replaceAll(' ', ''))) ?? ''

describe.skipIf(paper === '')("the paper's numbers (need ../shared/paper)", () => {
  const order: readonly GlueName[] = ['mnli', 'sst2', 'cola', 'qqp', 'qnli', 'rte', 'mrpc', 'stsb']
  const names: Readonly<Record<string, string>> = {
    full: '(FT)',
    prefix: '(Prefix)',
    prompt: '(Prompt)',
    lora: '(LoRA)',
    adalora: '(AdaLoRA)',
    salora: '(SaLoRA)',
    pfeiffer: '(AdaptP)',
    houlsby: '(AdaptH)',
  }
  const shown = ({ mean, maximumDeviation }: PaperScore, digits: number): string =>
    maximumDeviation === null ? mean.toFixed(digits) : `${mean.toFixed(digits)}±${maximumDeviation.toFixed(digits)}`

  it('Table 1', () => {
    for (const size of ['base', 'large'] as const)
      for (const [row, scores] of Object.entries(paperTable1[size])) {
        const digits = row === 'full' || row === 'houlsby' || row === 'pfeiffer' ? 1 : 2
        const line = lineOf(`RoB${size}${names[row]}`)
        const expected = order.map((task) => shown(scores[task] ?? { mean: NaN, maximumDeviation: null }, digits)).join('')
        expect(line, `${size} ${row}`).toContain(expected)
      }
  })

  it('Table 3', () => {
    const starts: Readonly<Record<string, string>> = { salora: 'SaLoRA9', 'salora, λ = 0': 'SaLoRAλ=0', 'salora, β = 0': 'SaLoRAβ=0' }
    for (const [row, scores] of Object.entries(paperTable3))
      for (const task of ['mrpc', 'stsb', 'cola'] as const)
        expect(lineOf(starts[row] ?? row), `${row} ${task}`).toContain(shown(scores[task] ?? { mean: NaN, maximumDeviation: null }, 2))
  })

  it('Table 2', () => {
    const starts: Readonly<Record<string, string>> = {
      Reference: 'Reference6',
      'LLaMA-7B': 'LaA7B2.20',
      'LLaMA-7B, LoRA': 'LaA7B(LoRA)',
      'LLaMA-7B, SaLoRA': 'LaA7B(SaLoRA)',
    }
    for (const { method, scores } of published) {
      const numbers = ['yelp', 'gyafc'].flatMap((dataset) => scores[dataset] ?? []).flat()
      expect(lineOf(starts[method] ?? method), method).toContain(numbers.map((x) => (x === 100 ? '100' : x.toFixed(2))).join(''))
    }
  })

  it('Table A2 and the grid, of whose powers of ten the signs were lost in print', () => {
    const rate = (learningRate = NaN): string => {
      const [digit = '', power = ''] = learningRate.toExponential().split('e-')
      return `${digit}×10${power}`
    }
    for (const size of ['base', 'large'] as const) {
      const recipes = order.map((task) => buildRecipe(task, size, 'lora'))
      const rates = recipes.map(({ learningRate }) => rate(learningRate ?? undefined)).join('')
      const epochs = recipes.map((recipe) => recipe.epochs).join('')
      const lines = paper.split('\n').filter((line) => line.includes(`RoB${size}`))
      expect(
        lines.some((line) => line.endsWith(rates)),
        `${size}: ${rates}`,
      ).toBe(true)
      expect(
        lines.some((line) => line.endsWith(epochs)),
        `${size}: ${epochs}`,
      ).toBe(true)
    }
    expect(paper).toContain(`{${appendixBGrid.map(rate).join(',')}}`)
  })
})

/** A file of essays: on each line a grade and the text, such as `good | An essay.` */
import { alternatives } from '../../../../accelerated/errors/nearest.js'
import { inputError, quoted } from '../../../../accelerated/errors/inputError.js'
import { exampleStore } from '../../../../finetuning/data/compactExamples.js'
import { type Dataset, type Example, atRow } from '../../../../finetuning/data/dataset.js'
import { eachLine } from '../../../../finetuning/data/lineStream.js'

export const gradeNames: readonly string[] = ['poor', 'fair', 'good']

/** @throws InputError for a line without a grade */
export const readEssays = async (file: string): Promise<Dataset> => {
  const examples: Example[] = []
  const store = exampleStore()
  await eachLine(file, (row, bytes) => {
    const line = bytes.toString('utf8')
    const [grade = '', text = ''] = line.split(' | ', 2)
    const label = gradeNames.indexOf(grade)
    if (label < 0) throw inputError(atRow(file, row), `a grade (${alternatives(gradeNames)}) and " | "`, quoted(line))
    examples.push(store({ text, label, row }))
  })
  return { source: file, labelNames: null, skipped: [], examples }
}

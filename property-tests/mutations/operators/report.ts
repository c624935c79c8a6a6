/** The report of StrykerJS: caught are the mutants that fail a test or never end. */
import { z } from 'zod'
import type { Verdict } from '../scoreTable.js'

export type Mutant = {
  readonly file: string
  readonly line: number
  readonly operator: string
  readonly replacement: string
  readonly verdict: Verdict
}

const reportShape = z.object({
  files: z.record(
    z.string(),
    z.object({
      mutants: z.array(
        z.object({
          mutatorName: z.string(),
          replacement: z.string().optional(),
          location: z.object({ start: z.object({ line: z.number() }) }),
          status: z.enum(['Killed', 'Survived', 'NoCoverage', 'Timeout', 'RuntimeError', 'CompileError', 'Ignored', 'Pending']),
        }),
      ),
    }),
  ),
})

const verdicts = {
  Killed: 'caught',
  Timeout: 'caught',
  Survived: 'survived',
  NoCoverage: 'survived',
  RuntimeError: 'ignored',
  CompileError: 'ignored',
  Ignored: 'ignored',
  Pending: 'ignored',
} as const

/** @param text the report of StrykerJS, mutation-testing-report-schema 2 */
export const readMutants = (text: string): readonly Mutant[] =>
  Object.entries(reportShape.parse(JSON.parse(text)).files).flatMap(([file, { mutants }]) =>
    mutants.map(({ mutatorName, replacement, location, status }) => ({
      file,
      line: location.start.line,
      operator: mutatorName,
      replacement: (replacement ?? '').replace(/\s+/g, ' ').slice(0, 100),
      verdict: verdicts[status],
    })),
  )

export const describeSurvivor = ({ file, line, operator, replacement }: Mutant): string =>
  `survived  ${file}:${line}  ${operator}: ${replacement}`

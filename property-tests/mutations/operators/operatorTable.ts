/** What StrykerJS reports, as a score by room: caught are the mutants that a test notices or that never end. */
import { z } from 'zod'

export type Mutant = {
  readonly file: string
  readonly line: number
  readonly operator: string
  readonly replacement: string
  readonly verdict: 'caught' | 'survived' | 'ignored'
}
export type RoomResult = { readonly room: string; readonly mutants: readonly Mutant[] }

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
export const mutantsOf = (text: string): readonly Mutant[] =>
  Object.entries(reportShape.parse(JSON.parse(text)).files).flatMap(([file, { mutants }]) =>
    mutants.map(({ mutatorName, replacement, location, status }) => ({
      file,
      line: location.start.line,
      operator: mutatorName,
      replacement: (replacement ?? '').replace(/\s+/g, ' ').slice(0, 100),
      verdict: verdicts[status],
    })),
  )

export const survivorLine = ({ file, line, operator, replacement }: Mutant): string =>
  `survived  ${file}:${line}  ${operator}: ${replacement}`

export const operatorTable = (results: readonly RoomResult[]): string =>
  results
    .map(({ room, mutants }) => {
      const count = (verdict: Mutant['verdict']): number => mutants.filter((mutant) => mutant.verdict === verdict).length
      const [caught, survived] = [count('caught'), count('survived')]
      const score = caught + survived === 0 ? '' : `${((100 * caught) / (caught + survived)).toFixed(1)} %`
      return `${room.padEnd(12)}${String(caught).padStart(6)} caught${String(survived).padStart(6)} survived${score.padStart(9)}`
    })
    .join('\n')

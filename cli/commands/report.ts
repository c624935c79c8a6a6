/** salora report: tables and figures of finished runs, as one page. */
import type { Command } from 'commander'
import { makeReport } from '../../reporting/report/report.js'
import { withOutput } from '../terminal/command.js'
import { exitCodes } from '../terminal/exitCodes.js'
import { countProgress } from '../terminal/progress.js'
import { resultLines } from '../format/report.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'

export const addReport = (command: Command): void => {
  command.description(
    'Tables and figures of finished runs as one HTML page, which opens from a file and loads nothing: scores and losses over steps, ranks by matrix, whether seeds ' +
      'find the same ranks, gates over steps, scores by rank and by density, and the tables of sweeps and style transfers. Runs that differ by their seed alone ' +
      'are one line, with a band over seeds. Each chart has its numbers behind it, as a table and as CSV, and can be saved as SVG and PNG. A run that is not ' +
      'finished, or cannot be read, is left out and told.',
  )
  command
    .argument('[dirs...]', 'runs of salora train, sweeps of salora glue, style transfers, or folders of such')
    .option('--output <file>', 'the page: a name that ends in .html; one that is there is replaced')
    .option('--figures <folder>', 'also each chart as an SVG and a PNG file')
  withOutput(
    command,
    ['salora report runs/reviews --output reviews.html', 'salora report runs/table1 runs/figure5 --output paper.html --figures figures'],
    async (given, terminal) => {
      const folders = command.args
      const { output, figures = null } = given
      if (folders.length === 0) throw usageError('salora report', 'at least one folder', 'none given')
      if (typeof output !== 'string') throw usageError('--output', 'a file whose name ends in .html', 'none given')
      if (!/\.html?$/i.test(output)) throw usageError('--output', 'a file whose name ends in .html', output)
      let progress: ReturnType<typeof countProgress> | null = null
      const result = await makeReport({ folders, output, figures: typeof figures === 'string' ? figures : null }, (event) => {
        if (event.kind === 'collected') progress = countProgress('runs', event.runs, terminal)
        if (event.kind === 'read') progress?.show(event.runs)
        if (event.kind === 'skipped' || event.kind === 'warning') {
          progress?.close()
          terminal.warn(event.kind === 'skipped' ? `skipped: ${event.message}` : event.message)
        }
      }).finally(() => progress?.close())
      terminal.result(resultLines(result).join('\n'), result)
      return exitCodes.success
    },
  )
}

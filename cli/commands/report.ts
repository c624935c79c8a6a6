/** salora report: tables and charts of finished runs, as one page. */
import { makeReport, type ReportResult } from '../../reporting/report/makeReport.js'
import { required, textFlag } from '../../finetuning/commandLine/flag.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'
import { countProgress } from '../terminal/progress.js'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { plural } from '../format/numbers.js'

export const report = defineCommand({
  name: 'salora report',
  description:
    'Write tables and charts of finished runs, sweeps and style transfers as one HTML file that works offline. Runs that differ only by seed share a line with a band.',
  arguments: [{ name: 'dirs', description: 'Runs, sweeps, style transfers, or folders of them', several: true, required: true }],
  flags: {
    Files: {
      output: required(textFlag('file', 'HTML file to write; an existing one is replaced'), 'a file whose name ends in .html'),
      figures: textFlag('folder', 'Also write each chart as SVG and PNG'),
    },
  },
  examples: [
    {
      command: 'salora report runs/table1 runs/figure5 --output paper.html --figures figures',
      result: 'Writes paper.html and figures/, and names the runs that it leaves out.',
    },
  ],
  run: async ({ output, figures }, terminal, folders) => {
    if (!/\.html?$/i.test(output)) throw usageError('--output', 'a file whose name ends in .html', output)
    let progress: ReturnType<typeof countProgress> | null = null
    const result = await makeReport({ folders, output, figures }, (event) => {
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
})

// A report in two lines of text.
/** Its contents, and the URL that opens it. */
export const resultLines = ({ output, runs, tables, figures, files }: ReportResult): readonly string[] => [
  `report      ${output}: ${[plural(runs, 'run'), plural(tables.length, 'table'), plural(figures.length, 'figure')].join(', ')}` +
    (files.length === 0 ? '' : `; ${plural(files.length, 'file')} of charts`),
  `open it     ${pathToFileURL(resolve(output)).href}`,
]

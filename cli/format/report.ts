/** A report in two lines of text. */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { ReportResult } from '../../reporting/report/report.js'
import { plural } from './numbers.js'

/** Its contents, and the URL that opens it. */
export const resultLines = ({ output, runs, tables, figures, files }: ReportResult): ReadonlyArray<string> => [
  `report      ${output}: ${[plural(runs, 'run'), plural(tables.length, 'table'), plural(figures.length, 'figure')].join(', ')}` +
    (files.length === 0 ? '' : `; ${plural(files.length, 'file')} of charts`),
  `open it     ${pathToFileURL(resolve(output)).href}`,
]

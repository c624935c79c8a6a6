/** Node's Buffer where there is none: readers of data and csv-parse use it by its global name. */
import { Buffer } from 'buffer'

globalThis.Buffer ??= Buffer as typeof globalThis.Buffer

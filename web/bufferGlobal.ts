/** Defines the global `Buffer` in a browser. csv-parse and our readers of data files need it. */
import { Buffer } from 'buffer'

globalThis.Buffer ??= Buffer as typeof globalThis.Buffer

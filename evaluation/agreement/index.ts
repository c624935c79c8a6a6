/**
 * Agreement of the two derivations: the reference and the accelerated path on the same small models, batches and noise (`salora verify`).
 *
 * Comparisons with other libraries belong in property-tests/golden/.
 */
export { boundOf } from './target.js'
export { describeRow, describeSkipped, kindOf, worstOfEach, type Part, type Row } from './rows.js'
export { verify, type VerifiedRow, type VerifySettings } from './verify.js'

/** Agreement of the two derivations: the reference and the accelerated path on the same small models, batches and noise. What `salora verify` runs. */
export { boundOf } from './bounds.js'
export { describeRow, kindOf, worstOfEach, type Part, type Row } from './rows.js'
export { verify, type VerifySettings } from './verify.js'

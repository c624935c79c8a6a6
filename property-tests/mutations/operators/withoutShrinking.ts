/** A mutant is caught by the first failure: no property looks for a smaller one. */
import fc from 'fast-check'

fc.configureGlobal({ ...fc.readConfigureGlobal(), endOnFailure: true })

/** The size of a run that can spread over machines. */

/** Trained numbers at most: 256 MB, which travel to every worker in each step and back for each part. A value in Redis has at most 512 MB. */
export const mostNumbers = 2 ** 26

/** A slider for the smoothing of noisy curves. The raw curves stay visible, faint. */

/** The weight of the past at first, as in TensorBoard. */
export const defaultSmoothing = 0.6
/** A weight of 1 would draw a constant. */
const largest = 0.98

export const smoothingControl = (onChange: (weight: number) => void): HTMLElement => {
  const slider = document.createElement('input')
  Object.assign(slider, { type: 'range', min: '0', max: String(largest), step: '0.02', value: String(defaultSmoothing) })
  const value = document.createElement('output')
  value.textContent = defaultSmoothing.toFixed(2)
  slider.addEventListener('input', () => {
    value.textContent = Number(slider.value).toFixed(2)
    onChange(Number(slider.value))
  })
  const label = document.createElement('label')
  label.className = 'smoothing'
  label.title = 'Weight of the past in the moving average of noisy curves; 0 shows them as they are'
  label.append('Smoothing', slider, value)
  return label
}

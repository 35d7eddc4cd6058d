/**
 * @file The page's side of the worker: requests and their answers.
 */

/** Calls functions of the worker. */
export class WorkerClient {
  /** @param {string} url of the worker's script */
  constructor(url) {
    this._worker = new Worker(url)
    this._waiting = new Map()
    this._nRequests = 0
    this._worker.onmessage = ({ data: { id, result, error } }) => {
      const { resolve, reject } = this._waiting.get(id)
      this._waiting.delete(id)
      if (error === undefined) resolve(result)
      else reject(error)
    }
    this._worker.onerror = (event) => {
      for (const { reject } of this._waiting.values()) reject(new Error(event.message || "the worker stopped"))
      this._waiting.clear()
    }
  }

  /**
   * Call a function of the worker.
   * @param {string} type its name; see the handlers of worker.js
   * @param {object} [parameters]
   * @param {Transferable[]} [transfer] what is moved instead of copied
   * @returns {Promise<any>}
   */
  call(type, parameters = {}, transfer = []) {
    const id = this._nRequests++
    return new Promise((resolve, reject) => {
      this._waiting.set(id, { resolve, reject })
      this._worker.postMessage({ id, type, ...parameters }, transfer)
    })
  }
}

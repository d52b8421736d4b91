/** What stops a start before Nexus itself runs. The message is for the user and says what to do. */
export class SetupError extends Error {
  /**
   * @param {string} message
   * @param {number} [exitCode] As in the table of exit codes: 1 failed, 130 interrupted.
   */
  constructor(message, exitCode = 1) {
    super(message);
    this.name = "SetupError";
    this.exitCode = exitCode;
  }
}

/** The label of services whose every answer costs money: `true`. */
export const paidLabel = "nexus.paid";
/** The label that says when a service's turn is where no route says so: a whole number, the lowest goes first. */
export const tierLabel = "nexus.tier";
/** The highest tier that there is. */
export const tierMax = 100;

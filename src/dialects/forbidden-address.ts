import { BlockList, isIP } from "node:net";

/**
 * Addresses where no model server lives and secrets may: link-local ranges (RFC 3927, RFC 4291), which hold the
 * metadata services of clouds at 169.254.169.254, and those that have theirs elsewhere (Amazon over IPv6, Alibaba,
 * Oracle). And what is no destination at all: multicast, broadcast and the unspecified address.
 */
const forbidden = new BlockList();
forbidden.addSubnet("169.254.0.0", 16, "ipv4");
forbidden.addSubnet("0.0.0.0", 8, "ipv4");
forbidden.addSubnet("224.0.0.0", 3, "ipv4");
forbidden.addAddress("100.100.100.200", "ipv4");
forbidden.addAddress("192.0.0.192", "ipv4");
forbidden.addSubnet("fe80::", 10, "ipv6");
forbidden.addSubnet("ff00::", 8, "ipv6");
forbidden.addAddress("::", "ipv6");
forbidden.addSubnet("fd00:ec2::", 32, "ipv6");

/** Whether Nexus never connects to an IP address, written in IPv6 or not. What is no address is not forbidden. */
export function isForbiddenAddress(address: string): boolean {
  const bare = address.startsWith("[") && address.endsWith("]") ? address.slice(1, -1) : address;
  const family = isIP(bare);
  return family !== 0 && forbidden.check(bare, family === 6 ? "ipv6" : "ipv4");
}

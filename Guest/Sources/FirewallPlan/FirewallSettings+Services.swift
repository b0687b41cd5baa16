public import AgentProtocol
import ApplianceGuest

extension FirewallSettings {
    /// The file that dnsmasq reads. Source: dnsmasq(8).
    /// - Parameter folder: where it keeps its leases and its number.
    public func nameServiceConfiguration(in folder: ByteString) -> ByteString {
        var text: ByteString = """
            port=53
            bind-interfaces
            except-interface=lo
            except-interface=outside
            interface=inside
            no-resolv
            no-hosts
            no-poll
            user=dnsmasq
            group=dnsmasq
            domain-needed
            bogus-priv
            stop-dns-rebind
            expand-hosts
            cache-size=1000
            dns-forward-max=150
            log-facility=-

            """
        if dmz != nil { text += "interface=dmz\nno-dhcp-interface=dmz\n" }
        text += "pid-file=" + folder + "/dnsmasq.pid\n"
        text += "domain=" + domain + "\nlocal=/" + domain + "/\n"
        for server in nameServers { text += "server=" + server.text + "\n" }
        text += "host-record=firewall." + domain + "," + inside.address.text + "\n"
        for host in hosts {
            // A name of one label is one of this domain.
            let name = host.name.bytes.contains(UInt8(ascii: ".")) ? host.name : host.name + "." + domain
            text += "host-record=" + name + "," + host.address.text + "\n"
        }
        guard hasDHCP else { return text }
        text += "dhcp-authoritative\ndhcp-leasefile=" + folder + "/leases\n"
        text += "dhcp-range=" + firstLease.text + "," + lastLease.text + "," + inside.mask.text + ","
        text += ByteString(leaseSeconds) + "\n"
        text += "dhcp-option=option:router," + inside.address.text + "\n"
        text += "dhcp-option=option:dns-server," + inside.address.text + "\n"
        for reservation in reservations {
            text += "dhcp-host=" + reservation.hardwareAddress + "," + reservation.address.text
            if let name = reservation.hostName { text += "," + name }
            text += "\n"
        }
        return text
    }

    /// Addresses and the route to the rest of the world, as the kernel is told.
    public var interfaces: [Interface] {
        zones.map { zone, prefix in
            var interface = Interface(
                name: zone.name, addresses: [.init(prefix.address.address, prefixLength: prefix.length)])
            if zone == .outside {
                interface.routes = [.init(to: IPv4(0).address, prefixLength: 0, via: gateway.address)]
            }
            return interface
        }
    }

    /// What the kernel's switches are set to before an interface is brought up, by their paths below `/proc/sys/net`.
    /// Source: Linux, networking/ip-sysctl.
    public static let kernelSwitches: [(path: ByteString, value: ByteString)] = {
        var switches: [(path: ByteString, value: ByteString)] = [("ipv4/tcp_syncookies", "1")]
        for scope in [ByteString("all"), "default", "outside", "inside", "dmz"] {
            switches.append(("ipv6/conf/" + scope + "/disable_ipv6", "1"))
            switches.append(("ipv4/conf/" + scope + "/rp_filter", "1"))
            switches.append(("ipv4/conf/" + scope + "/accept_redirects", "0"))
            switches.append(("ipv4/conf/" + scope + "/send_redirects", "0"))
            switches.append(("ipv4/conf/" + scope + "/accept_source_route", "0"))
            switches.append(("ipv4/conf/" + scope + "/secure_redirects", "0"))
            switches.append(("ipv4/conf/" + scope + "/arp_ignore", "1"))
        }
        return switches
    }()
}

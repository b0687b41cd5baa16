import FabricProtocol
import LinuxCalls

/// What keeps an ordinary user from a fabric, and what to do about it.
enum UserObstacles {
    private static let device = "/dev/net/tun"

    static func checkDevice() throws(FabricFault) {
        do throws(LinuxError) { _ = try open(device, .readWrite) } catch {
            let advice = error == .noEntry || error == .noDevice ? "modprobe tun" : "chmod 666 \(device)"
            throw FabricFault("networks take \(device), which cannot be opened: \(error); as root: \(advice)")
        }
    }

    /// Why namespaces could not be made.
    static func fault(_ error: LinuxError) -> FabricFault {
        for (setting, forbidding, wanted) in [
            ("user.max_user_namespaces", "0", "10000"), ("kernel.unprivileged_userns_clone", "0", "1"),
            ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"), ("user.max_net_namespaces", "0", "10000"),
        ] where isSet(setting, forbidding) {
            return FabricFault(
                "networks of an ordinary user take user namespaces, which this computer forbids (\(setting) is \(forbidding)); as root: sysctl \(setting)=\(wanted)"
            )
        }
        // ENOSPC: who is in a namespace of its own already does not read the numbers that count. Source: namespaces(7).
        if error.number == 28 {
            return FabricFault(
                "networks of an ordinary user take two user namespaces and a network namespace, and there may be no more here; end what has made others (lsns), or as root: sysctl user.max_user_namespaces=10000 user.max_net_namespaces=10000"
            )
        }
        return FabricFault(
            "networks of an ordinary user take a user and a network namespace, which cannot be made here: \(error); in a chroot there are none, and some containers forbid them; run it as root"
        )
    }

    private static func isSet(_ setting: String, _ value: String) -> Bool {
        let path = "/proc/sys/" + String(setting.map { $0 == "." ? "/" : $0 })
        guard let bytes = EngineFolder.read(path, maximumBytes: 32) else { return false }
        return bytes.prefix { $0 != 0x0a }.elementsEqual(value.utf8)
    }
}

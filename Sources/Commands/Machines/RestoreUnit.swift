import AgentClient
import Fleet
import Glibc
import HostFiles

/// A unit of systemd that brings machines back. Source: systemd.service(5), systemd.unit(5), systemd.syntax(7).
struct RestoreUnit {
    var executable: String
    var paths: ProductPaths
    var isSystem: Bool

    static func present() throws -> RestoreUnit {
        let link = try HostPath(Product.executable).linkTarget()
        return RestoreUnit(
            executable: String(decoding: link, as: UTF8.self), paths: Product.paths, isSystem: geteuid() == 0)
    }

    var text: String {
        get throws(CommandFailure) {
            let variables = [
                ("SWIFTLET_HOME", paths.data), ("SWIFTLET_RUNTIME", paths.runtime), ("SWIFTLET_LIBEXEC", paths.libexec),
            ]
            var environment: [String] = []
            for (name, value) in variables { environment.append("Environment=\(try Self.quoted("\(name)=\(value)"))") }
            let program = try Self.quoted(executable).replacing("$", with: "$$")
            return """
                # \(isSystem ? "Into /etc/systemd/system/swiftlet-restore.service; then:" : "Into ~/.config/systemd/user/swiftlet-restore.service; then:")
                #   \(isSystem ? "systemctl daemon-reload && systemctl enable --now swiftlet-restore" : "systemctl --user daemon-reload && systemctl --user enable --now swiftlet-restore")
                \(isSystem ? "" : "#   loginctl enable-linger        (so that this user's machines run without a session)\n")\
                [Unit]
                Description=Machines of Swiftlet that come back by their restart policy
                After=network.target
                RequiresMountsFor=\(try Self.quoted(paths.data))

                [Service]
                Type=oneshot
                RemainAfterExit=yes
                # A machine that cannot be begun must not take the others with it.
                SuccessExitStatus=125
                OOMPolicy=continue
                TimeoutStartSec=infinity
                TimeoutStopSec=5min
                \(environment.joined(separator: "\n"))
                ExecStart=\(program) restore
                ExecStop=\(program) stop --all --until-restore

                [Install]
                WantedBy=\(isSystem ? "multi-user.target" : "default.target")
                """
        }
    }

    /// One word, whatever is in it.
    static func quoted(_ text: String) throws(CommandFailure) -> String {
        guard text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f }) else {
            throw CommandFailure(
                "usage.systemd", "a path with control characters in it cannot be written into a unit: \(text)")
        }
        let escaped = text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("%", with: "%%")
        return "\"\(escaped)\""
    }
}

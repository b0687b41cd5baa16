import Testing

@testable import GuestKernels

@Suite struct KernelConfigurationTests {
    @Test func `Symbols that are unknown, off or different in the result are named`() {
        let wanted = KernelConfiguration(
            "# words\nCONFIG_A=y\nCONFIG_B=\"text\"\n# CONFIG_C is not set\nCONFIG_D=16\nCONFIG_E=y\n")
        let result = KernelConfiguration("CONFIG_A=y\nCONFIG_B=\"text\"\nCONFIG_D=17\n# CONFIG_E is not set\n")
        #expect(
            wanted.unmet(by: result) == [
                "CONFIG_D=16 became 17", "CONFIG_E=y became n",
            ])
        #expect(wanted.unmet(by: KernelConfiguration("CONFIG_C=y\n")).count == 5)
    }

    @Test func `The project's own configuration asks for nothing twice, and for what a guest cannot do without`() {
        let own = KernelConfiguration(KernelConfiguration.ownText)
        #expect(own.repeated.isEmpty)
        let values = Dictionary(own.values.map { ($0.symbol, $0.value) }, uniquingKeysWith: { $1 })
        for symbol in [
            "VIRTIO_MMIO", "VIRTIO_MMIO_CMDLINE_DEVICES", "VIRTIO_BLK", "VIRTIO_NET", "VIRTIO_VSOCKETS", "EROFS_FS",
            "OVERLAY_FS", "NF_TABLES", "NFT_MASQ", "NFT_FLOW_OFFLOAD", "DM_VERITY", "KVM_GUEST", "PVH", "SECCOMP",
            "IKCONFIG_PROC", "PAGE_REPORTING", "VIRTIO_MEM", "VIRTIO_PMEM", "WIREGUARD",
        ] {
            #expect(values["CONFIG_" + symbol] == "y", "\(symbol)")
        }
    }

    @Test func `The newest kernel source is chosen by number, not by letters`() {
        let text = "linux-source-6.1\nlinux-source-6.12\nlinux-source-6.9\nlinux-source-doc\n"
        #expect(
            KernelStore.newestFirst(text) == ["linux-source-6.12", "linux-source-6.9", "linux-source-6.1"])
    }

    @Test func `Missing tools are told as packages`() {
        #expect(BuildRequirements.missingPackages(hasProgram: { _ in true }, hasFile: { _ in true }).isEmpty)
        #expect(
            BuildRequirements.missingPackages(hasProgram: { $0 != "flex" }, hasFile: { !$0.contains("gelf") })
                == ["flex", "libelf-dev"])
    }

    @Test func `A package list's paragraph gives name, version and dependencies`() throws {
        let found = try #require(
            DistributionPackage.parse(
                "Package: linux-image-cloud-amd64\nVersion: 6.1.192-2\nDepends: linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2), x\n more\n\nPackage: other\n"
            ))
        #expect(found.package == DistributionPackage(name: "linux-image-cloud-amd64", version: "6.1.192-2"))
        #expect(found.depends == ["linux-image-6.1.0-56-cloud-amd64", "x"])
        #expect(DistributionPackage.parse("") == nil)
    }
}

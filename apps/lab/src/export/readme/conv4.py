class ConvBlock(nn.Module):
    def __init__(self, c_in, c_out):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(c_out)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class Conv4(nn.Module):
    """Four convolutions. Maps images [N, 3, H, W] with sides of at least 8 pixels to features [N, 64]."""

    feature_dim = 64

    def __init__(self):
        super().__init__()
        self.layer1 = ConvBlock(3, 8)
        self.layer2 = ConvBlock(8, 16)
        self.layer3 = ConvBlock(16, 32)
        self.layer4 = ConvBlock(32, 64)

    def forward(self, x):
        for layer in (self.layer1, self.layer2, self.layer3):
            x = F.avg_pool2d(layer(x), 2)
        return self.layer4(x).mean((2, 3))
